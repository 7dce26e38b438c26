/**
 * base: the words every other module speaks.
 * Digests, ids, time, canonical JSON, problems, verdicts, endpoint descriptions and limits. No I/O but randomness and the clock.
 */
export { checksum62, randomBase62 } from './base62.ts';
export { type Clock, systemClock, toIso } from './clock.ts';
export {
  createDigester,
  type Digest,
  type Digester,
  digestFromHex,
  digestOf,
  hexOf,
  isDigest,
  parseDigest,
} from './digest.ts';
export { defineEndpoint, type Endpoint, type Method } from './endpoint.ts';
export { faultPoint } from './fault.ts';
export { idFrom, newId } from './id.ts';
export { canonicalJson, parseJson } from './json.ts';
export { limits } from './limits.ts';
export { CheckView, DigestText, PageQuery, RepositoryName, Slug } from './name.ts';
export { parseWith, Problem, type ProblemFields, type ProblemKind } from './problem.ts';
export { type Check, failed, firstRefusal, notChecked, passed, type Verdict, verdictOf } from './verdict.ts';
