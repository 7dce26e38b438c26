import type { Digest } from '#base';
import type { Plan, PlanItem, Report } from './protocol.ts';

/** The server as an agent sees it. Nothing that comes through here is believed before it was verified. */
export interface AgentApi {
  plan(): Promise<Plan>;
  bundle(digest: Digest): Promise<Uint8Array>;
  artifact(item: PlanItem): Promise<AsyncIterable<Uint8Array>>;
  report(report: Report): Promise<void>;
}
