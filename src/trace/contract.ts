import { z } from 'zod';
import { CheckView, defineEndpoint, DigestText } from '#base';
import { Capsule } from './capsule.ts';
import { hopKinds } from './hop.ts';

const Time = z.iso.datetime();

export const HopView = z.object({
  kind: z.enum(hopKinds),
  id: z.string(),
  title: z.string(),
  at: Time.nullable(),
  ok: z.boolean(),
  facts: z.array(
    z.object({
      number: z.int(),
      leaf: z.int(),
      type: z.string(),
      stream: z.string(),
      at: Time,
      principal: z.string(),
    }),
  ),
  links: z.record(z.string(), z.string()),
  checks: z.array(CheckView),
});

export const TraceView = z.object({
  version: z.literal(1),
  ok: z.boolean(),
  digest: DigestText,
  name: z.string().nullable(),
  artifactVersion: z.string().nullable(),
  tracedAt: Time,
  broken: z
    .object({
      hop: z.enum(hopKinds),
      id: z.string(),
      check: z.string(),
      code: z.string().nullable(),
      expected: z.string().nullable(),
      found: z.string().nullable(),
      fix: z.string().nullable(),
    })
    .nullable(),
  /** Newest first. */
  hops: z.array(HopView),
});

/** One of digest, name and path; path together with the digest the file has now says whether it drifted. */
const Query = z.object({
  digest: DigestText.optional(),
  name: z.string().max(500).optional(),
  path: z.string().max(4096).optional(),
});

export const showTrace = defineEndpoint({
  name: 'trace.show',
  method: 'GET',
  path: '/api/v1/trace',
  summary: 'Walk an artifact back to the signed commit, verifying every hop.',
  auth: 'required',
  permission: 'artifact:read',
  query: Query,
  response: TraceView,
});

export const showCapsule = defineEndpoint({
  name: 'trace.capsule',
  method: 'GET',
  path: '/api/v1/trace/capsule',
  summary: 'Pack all that the chain of an artifact rests on into one file that verifies offline.',
  auth: 'required',
  permission: 'artifact:read',
  query: Query,
  response: Capsule,
});
