import { z } from 'zod';

/** Project, repository and environment names: lower case, so no two of them differ by case alone. */
export const Slug = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/, 'use 1–40 lower-case letters, digits and inner hyphens');

/** `project/repository`. */
export const RepositoryName = z
  .string()
  .max(81)
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\/[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/,
    'write it as project/repository',
  );

/** A SHA-256 digest in a schema. */
export const DigestText = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'write it as sha256:<64 hex digits>');

/** What a list takes and gives. `next` is opaque; null at the end. */
export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  after: z.string().max(200).optional(),
});

/** A `Check` as every endpoint shows it. */
export const CheckView = z.object({
  name: z.string(),
  status: z.enum(['passed', 'failed', 'not_checked']),
  code: z.string().optional(),
  expected: z.string().optional(),
  found: z.string().optional(),
  detail: z.string().optional(),
  fix: z.string().optional(),
});
