import { Problem } from '#base';
import { type Actor, type Journal, systemActor } from '#journal';
import { type AlertRaised, alertRaised } from './facts.ts';

/** Puts on record that something is amiss; once for one thing, however often it is seen. */
export async function raiseAlert(
  journal: Journal,
  alert: AlertRaised,
  about: string,
  actor: Actor = systemActor('attest'),
): Promise<void> {
  const stream = `alert/${alert.code}:${about}`.slice(0, 120);
  if ((await journal.byStream(stream)).length > 0) return;
  try {
    await journal.record({ fact: alertRaised, payload: alert, stream, actor, expectSeq: 0 });
  } catch (error) {
    if (!Problem.is(error) || error.code !== 'journal.stream_moved') throw error;
  }
}
