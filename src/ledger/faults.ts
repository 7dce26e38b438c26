import { faultPoint } from '#base';

/**
 * What crash tests may do to a durable write of a log: fail it before anything reached the disk, or after everything did (the
 * write succeeded, its acknowledgement was lost). `step` is called before each durable write with its place; no setting reaches it.
 */
export interface WriteFaults {
  step(place: string): 'none' | 'not_persisted' | 'persisted';
}

export class InjectedWriteError extends Error {}

/** Every durable write of a log goes through here. */
export async function writeStep(
  faults: WriteFaults | undefined,
  place: string,
  write: () => Promise<void>,
): Promise<void> {
  const fault = faults?.step(place) ?? 'none';
  if (fault === 'not_persisted') throw new InjectedWriteError(`not persisted: ${place}`);
  faultPoint('ledger.before_write');
  await write();
  faultPoint('ledger.after_write');
  if (fault === 'persisted') throw new InjectedWriteError(`persisted: ${place}`);
}
