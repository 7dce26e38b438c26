import { type Check, failed, firstRefusal, newId, Problem } from '#base';
import type { Agent, AgentEvent } from './options.ts';
import type { PlanItem, Report } from './protocol.ts';
import type { Running } from './state.ts';

const CHECK_TEXT_MAX = 2000;

export class Refusal extends Error {
  readonly checks: readonly Check[];
  constructor(checks: readonly Check[]) {
    super('refused');
    this.checks = checks;
  }
}

export async function refuse(agent: Agent, item: PlanItem, checks: readonly Check[]): Promise<void> {
  const { file } = agent;
  const check = firstRefusal({ ok: false, checks }) ?? checks[0]!;
  const mark = `${item.order}:${item.digest}:${check.code ?? check.name}`;
  tell(agent, { kind: 'refused', name: item.name, check });
  if (file.state.refused[item.name] === mark) return;
  file.state.refused[item.name] = mark;
  const { promotion, digest, name, version } = item;
  const report = { report: newId('rpt'), seenAt: Date.now(), promotion, digest, name, version };
  send(agent, { kind: 'refused', ...report, checks: checks.map(shortened) });
  await file.save();
}

export function reportStopped(
  agent: Agent,
  name: string,
  running: Running,
  reason: Extract<Report, { kind: 'stopped' }>['reason'],
  detail: string,
): void {
  running.ended = true;
  const { deployment, item } = running;
  tell(agent, { kind: 'stopped', name, reason, detail });
  send(agent, {
    kind: 'stopped',
    report: newId('rpt'),
    seenAt: Date.now(),
    deployment,
    digest: item.digest,
    reason,
    detail: detail.slice(0, CHECK_TEXT_MAX),
  });
}

export function send({ file }: Agent, report: Report): void {
  file.state.outbox.push(report);
}

/** In order. What the server will never take is told and dropped; what it cannot take now waits, on the disk. */
export async function deliver(agent: Agent): Promise<void> {
  const { outbox } = agent.file.state;
  // What the server knows the agent must still know after a kill.
  if (outbox.length > 0) await agent.file.save();
  for (let report = outbox[0]; report; report = outbox[0]) {
    try {
      await agent.options.api.report(report);
    } catch (error) {
      const problem = asProblem(error);
      const done = problem.code === 'deploy.report_repeated';
      if (!done) tell(agent, { kind: 'trouble', problem });
      if (!done && isTransient(problem)) return;
    }
    outbox.shift();
    await agent.file.save();
  }
}

export function tell({ options }: Agent, event: AgentEvent): void {
  options.onEvent?.(event);
}

/** May the same question have another answer later, without anybody having done anything about it? */
export function isTransient({ kind, code }: Problem): boolean {
  if (code === 'storage.object_damaged') return false;
  return kind === 'unavailable' || kind === 'limited' || kind === 'unauthenticated';
}

export function asProblem(error: unknown): Problem {
  if (Problem.is(error)) return error;
  if (error instanceof Refusal) {
    return new Problem({ code: 'deploy.refused', kind: 'rejected', message: 'The evidence does not hold.', hint: '' });
  }
  return new Problem({
    code: 'deploy.host_failed',
    kind: 'unavailable',
    message: `The host refused something the agent needs: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}.`,
    hint: 'Look at space and permissions of the agent’s directory.',
    cause: error,
  });
}

export const checkFrom = ({ code, message, details }: Problem): Check =>
  failed('bytes are the promised ones', {
    code,
    ...(typeof details?.['expected'] === 'string' ? { expected: details['expected'] } : {}),
    found: typeof details?.['found'] === 'string' ? details['found'] : message,
  });

export const shortened = (check: Check): Check => {
  const short = { ...check };
  for (const key of ['expected', 'found', 'detail'] as const) {
    const text = short[key];
    if (text !== undefined) short[key] = text.slice(0, CHECK_TEXT_MAX);
  }
  return short;
};
