/** What the source module records. A released schema never changes; a new version is added beside it. */
import { z } from 'zod';
import { DigestText, RepositoryName } from '#base';
import { defineFact } from '#journal';

const Id = z.string().max(60);
const ObjectId = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
const RefName = z.string().max(200);

const CheckRecord = z.strictObject({
  name: z.string().max(80),
  status: z.enum(['passed', 'failed', 'not_checked']),
  code: z.string().max(80).optional(),
  expected: z.string().max(500).optional(),
  found: z.string().max(500).optional(),
  detail: z.string().max(500).optional(),
  fix: z.string().max(500).optional(),
});

const UpdateRecord = z.strictObject({ ref: RefName, old: ObjectId, new: ObjectId });
/** Of refused pushes: the name is whatever the client sent, cut to size. */
const AskedUpdate = z.strictObject({ ref: z.string().max(300), old: ObjectId, new: ObjectId });

export const PushCertificates = z.enum(['off', 'ask', 'require']);
export const ProtectedPathList = z.array(z.string().min(1).max(200)).max(200);

export const repositoryCreated = defineFact({
  type: 'source.repository_created',
  version: 1,
  schema: z.strictObject({
    repository: Id,
    project: Id,
    name: RepositoryName,
    protectedPaths: ProtectedPathList,
    pushCertificates: PushCertificates,
  }),
});

export const settingsChanged = defineFact({
  type: 'source.settings_changed',
  version: 1,
  schema: z.strictObject({ repository: Id, protectedPaths: ProtectedPathList, pushCertificates: PushCertificates }),
});

export const pushAccepted = defineFact({
  type: 'source.push_accepted',
  version: 1,
  schema: z.strictObject({
    push: Id,
    repository: Id,
    project: Id,
    name: RepositoryName,
    pusher: Id,
    updates: z.array(UpdateRecord).min(1),
    /** The commit behind each annotated tag, whose own object is what the update names. */
    tagged: z.array(z.strictObject({ ref: RefName, commit: ObjectId })).default([]),
    /** Every commit the push brought. `signer` and `key` are null only where the signature control was off. */
    commits: z.array(z.strictObject({ id: ObjectId, signer: Id.nullable(), key: z.string().max(100).nullable() })),
    checks: z.array(CheckRecord),
    /** The signed push certificate, as an object; null if the client sent none. */
    certificate: DigestText.nullable(),
    certificateNonce: z.string().max(200).nullable(),
  }),
});

export const pushRefused = defineFact({
  type: 'source.push_refused',
  version: 1,
  schema: z.strictObject({
    push: Id,
    repository: Id,
    project: Id,
    name: RepositoryName,
    pusher: Id,
    updates: z.array(AskedUpdate),
    checks: z.array(CheckRecord),
  }),
});

/** An accepted push whose refs could not be moved, because something else had changed them on the disk. */
export const pushAborted = defineFact({
  type: 'source.push_aborted',
  version: 1,
  schema: z.strictObject({ push: Id, repository: Id, reason: z.string().max(500), updates: z.array(UpdateRecord) }),
});

export type PushAccepted = z.infer<typeof pushAccepted.schema>;
export type PushRefused = z.infer<typeof pushRefused.schema>;
