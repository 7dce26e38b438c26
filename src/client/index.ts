/**
 * client: HTTPS to one Waybill server, for the command line, the runner and the deploy agent.
 * TLS 1.3 with a pinned CA and no way around it; answers are checked against their schema; content is hashed
 * before its last byte is handed out; failures are `Problem`s. Knows endpoints as data, never their use cases.
 */
export {
  type Client,
  type ClientOptions,
  createClient,
  type Download,
  type DownloadOptions,
  type EventOptions,
  type UploadContent,
} from './client.ts';
export {
  type CheckpointMemory,
  type CheckpointWatch,
  type LedgerView,
  openCheckpointMemory,
  openCheckpointWatch,
} from './memory.ts';
export { createWitnessExchange } from './witness.ts';
export { createVerifyingStream } from './content.ts';
export { createEventParser, type ServerEvent } from './events.ts';
export { type CallInput } from './request.ts';
