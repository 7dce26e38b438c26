import { Problem } from '#base';

export const runNotFound = (id: string): Problem =>
  new Problem({
    code: 'build.run_not_found',
    kind: 'not_found',
    message: `There is no run or job ${id.slice(0, 64)}.`,
    hint: 'List the runs of the project: waybill run list.',
  });

export const jobTokenEnded = (): Problem =>
  new Problem({
    code: 'build.job_token_ended',
    kind: 'forbidden',
    message: 'This credential belonged to an attempt that is over.',
    hint: 'A job’s credential ends with the job, its cancellation or the loss of its lease. Claim again.',
  });

export const runnerUnfit = (failed: readonly string[]): Problem =>
  new Problem({
    code: 'build.runner_unfit',
    kind: 'rejected',
    message: 'This runner’s sandbox did not pass its self-test, so it gets no work.',
    hint: 'Look at the checks it printed at its start and correct the machine.',
    details: { failed },
  });

export const logIncomplete = (size: number): Problem =>
  new Problem({
    code: 'build.log_incomplete',
    kind: 'conflict',
    message: 'The log that arrived is not the log the runner wrote.',
    hint: 'Send the rest, then complete again.',
    details: { size },
  });

export const outputsDiffer = (expected: string, found: string): Problem =>
  new Problem({
    code: 'build.outputs_differ',
    kind: 'conflict',
    message: 'The outputs the runner names are not those that arrived.',
    hint: 'Upload every output of this attempt, then complete again.',
    details: { expected, found },
  });

export const outputNameTaken = (name: string): Problem =>
  new Problem({
    code: 'build.output_name_taken',
    kind: 'conflict',
    message: `The run already has an output named ${name}.`,
    hint: 'Give every artifact of a run its own name.',
  });

export const runIsOver = (): Problem =>
  new Problem({
    code: 'build.run_over',
    kind: 'conflict',
    message: 'This run has ended already.',
    hint: 'Push again to start another.',
  });
