/** The runner's view of the server: the few calls it makes, all of them over pinned TLS. */
import type { Readable } from 'node:stream';
import { type CheckpointWatch, createClient } from '#client';
import type { Assignment, ClaimRequest, Completion } from '../assignment.ts';
import * as contract from '../contract.ts';

export interface OutputUpload {
  readonly name: string;
  readonly file: string;
  readonly mediaType: string;
}

export interface RunnerApi {
  claim(request: ClaimRequest): Promise<Assignment | null>;
  /** The calls for one attempt, with its own credential. */
  attempt(assignment: Assignment): AttemptApi;
  close(): void;
}

export interface AttemptApi {
  heartbeat(): Promise<void>;
  fetchSource(): Promise<Readable>;
  appendLog(offset: number, bytes: Buffer): Promise<{ size: number }>;
  putOutput(output: OutputUpload, content: Readable, size: number): Promise<{ digest: string; size: number }>;
  complete(report: Completion): Promise<void>;
  close(): void;
}

export interface ServerAddress {
  readonly url: string;
  /** PEM of the only CA to trust. */
  readonly ca: string;
}

/** With `watch`, no job is taken from a server whose log does not continue what this runner saw before. */
export function createRunnerApi(server: ServerAddress, token: string, watch?: CheckpointWatch): RunnerApi {
  const client = createClient({ ...server, token });
  return {
    async claim(request) {
      await watch?.look(client);
      return (await client.call(contract.claim, { body: request })).assignment;
    },
    attempt: (assignment) => createAttemptApi(server, assignment),
    close: () => client.close(),
  };
}

function createAttemptApi(server: ServerAddress, { job, token }: Assignment): AttemptApi {
  const client = createClient({ ...server, token });
  const params = { job };
  return {
    heartbeat: async () => void (await client.call(contract.heartbeat, { params })),
    fetchSource: async () => (await client.download(contract.fetchSource, { params })).stream,
    appendLog: (offset, bytes) => client.upload(contract.appendLog, { params, query: { offset } }, { content: bytes }),
    putOutput: ({ name, file, mediaType }, content, size) =>
      client.upload(contract.putOutput, { params: { job, name }, query: { file, mediaType } }, { content, size }),
    complete: async (report) => void (await client.call(contract.complete, { params, body: report })),
    close: () => client.close(),
  };
}
