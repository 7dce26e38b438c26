import { z } from 'zod';
import { DigestText } from '#base';
import { defineFact } from '#journal';

const Id = z.string().min(1).max(64);
const Name = z.string().min(1).max(300);
const Size = z.int().min(0);

const Located = { project: Id, repository: Name, name: Name, version: Name, file: Name };

/** The control plane put an output of a finished, successful run into the release repository. */
export const published = defineFact({
  type: 'artifact.published',
  version: 1,
  schema: z.strictObject({
    artifact: Id,
    ...Located,
    digest: DigestText,
    size: Size,
    mediaType: Name,
    run: Id,
    output: Name,
    commit: z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/),
    provenance: DigestText,
    /** Number of the fact `build.provenance_signed` that this follows from. */
    provenanceFact: z.int().min(1),
  }),
});
export type Published = z.output<typeof published.schema>;

/** An output that was not published, and why. */
export const publicationRefused = defineFact({
  type: 'artifact.publication_refused',
  version: 1,
  schema: z.strictObject({
    run: Id,
    output: Name.nullable(),
    digest: DigestText.nullable(),
    provenance: DigestText,
    provenanceFact: z.int().min(1),
    code: Name,
    expected: z.string().max(2000).nullable(),
    found: z.string().max(2000).nullable(),
  }),
});

/** Somebody put a file into a playground; the label stays with this record for ever. */
export const uploaded = defineFact({
  type: 'artifact.uploaded',
  version: 1,
  schema: z.strictObject({
    artifact: Id,
    ...Located,
    digest: DigestText,
    size: Size,
    mediaType: Name,
    label: z.literal('playground'),
  }),
});
export type Uploaded = z.output<typeof uploaded.schema>;

/** Somebody tried to put a file where only the control plane may. */
export const uploadRefused = defineFact({
  type: 'artifact.upload_refused',
  version: 1,
  schema: z.strictObject({
    refusal: Id,
    ...Located,
    /** As announced by the caller; the bytes were not read. */
    announcedDigest: DigestText.nullable(),
    code: Name,
    credential: z.string().max(200),
  }),
});
export type UploadRefused = z.output<typeof uploadRefused.schema>;

/** Bytes are about to leave: recorded before the first one does. */
export const downloaded = defineFact({
  type: 'artifact.downloaded',
  version: 1,
  schema: z.strictObject({
    artifact: Id,
    digest: DigestText,
    range: z.strictObject({ start: z.int().min(0), end: z.int().min(0) }).nullable(),
    credential: z.string().max(200),
  }),
});
