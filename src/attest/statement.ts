import { z } from 'zod';
import { type Digest, isDigest, parseJson, parseWith } from '#base';

/** in-toto Statement v1: what is claimed (predicate) about which artifacts (subjects). */

export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';

const HexDigests = z
  .record(
    z.string().regex(/^[A-Za-z0-9_-]{1,32}$/),
    z.string().regex(/^[0-9a-f]{32,128}$/, 'write it in lower-case hexadecimal'),
  )
  .refine((digests) => Object.keys(digests).length > 0, 'a subject has at least one digest');

export const Subject = z.object({ name: z.string().max(1024).optional(), digest: HexDigests });

export const Statement = z.object({
  _type: z.literal(STATEMENT_TYPE),
  subject: z.array(Subject).min(1).max(1000),
  predicateType: z.string().min(1).max(1024),
  predicate: z.record(z.string(), z.unknown()),
});

export type Statement = z.infer<typeof Statement>;
export type Subject = z.infer<typeof Subject>;

const STATEMENT_CHARS_MAX = 1024 * 1024;

/** Untrusted payload of an envelope → statement; `Problem attest.statement_invalid`. */
export function parseStatement(payload: Uint8Array): Statement {
  const value = parseJson(Buffer.from(payload).toString('utf8'), STATEMENT_CHARS_MAX);
  return parseWith(Statement, value, 'attest.statement_invalid');
}

/** The artifacts a statement is about, by SHA-256. */
export function subjectDigests(statement: Statement): Digest[] {
  return statement.subject.map(({ digest }) => `sha256:${digest['sha256']}`).filter(isDigest);
}
