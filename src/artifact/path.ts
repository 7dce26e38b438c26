import { z } from 'zod';
import { Problem, Slug } from '#base';

/** What a project has, from its first moment to its last: one repository for what CI built, one to try things in. */
export const repositoryKinds = ['release', 'playground'] as const;
export type RepositoryKind = (typeof repositoryKinds)[number];

/** Where a file lies: `acme/release`, `acme/hello/program`, `12-7fd1a60b`, `program`. */
export interface ArtifactPath {
  repository: string;
  kind: RepositoryKind;
  project: string;
  /** Begins with the project. */
  name: string;
  version: string;
  file: string;
}

const SEGMENTS_MAX = 8;
const PATH_CHARS_MAX = 300;
const SEGMENT = /^[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,126}[A-Za-z0-9_+-])?$/;
/** Names that some file system turns into a device; a path is to mean the same file everywhere. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;

/** One part of a path: ASCII, no separator, nothing that hides or climbs. */
export const PathSegment = z
  .string()
  .regex(SEGMENT, 'use letters, digits and . _ + - inside; begin and end with a letter or digit')
  .refine((text) => !text.includes('..'), 'must not contain ..')
  .refine((text) => !DEVICE.test(text), 'is the name of a device on some systems');

export const ArtifactName = z
  .string()
  .max(PATH_CHARS_MAX)
  .refine((text) => {
    const segments = text.split('/');
    return (
      segments.length >= 2 &&
      segments.length <= SEGMENTS_MAX &&
      Slug.safeParse(segments[0]).success &&
      segments.slice(1).every((segment) => PathSegment.safeParse(segment).success)
    );
  }, 'write it as project/name[/name…]');

export const ArtifactRepositoryName = z.string().refine((text) => {
  const [project, kind, ...rest] = text.split('/');
  return rest.length === 0 && Slug.safeParse(project).success && repositoryKinds.includes(kind as RepositoryKind);
}, 'write it as project/release or project/playground');

/** Untrusted parts → a path, or `Problem artifact.path_invalid` that says which part is wrong and why. */
export function parseArtifactPath(parts: {
  repository: string;
  name: string;
  version: string;
  file: string;
}): ArtifactPath {
  const { repository, name, version, file } = parts;
  requirePart(ArtifactRepositoryName, 'repository', repository);
  requirePart(ArtifactName, 'name', name);
  requirePart(PathSegment, 'version', version);
  requirePart(PathSegment, 'file', file);
  const [project, kind] = repository.split('/') as [string, RepositoryKind];
  if (name.split('/')[0] !== project) {
    throw invalid('name', `must begin with ${project}/, the project of the repository`);
  }
  return { repository, kind, project, name, version, file };
}

/** Two paths with the same key would be one file on a file system that folds case, so only the first is accepted. */
export function pathKey({ repository, name, version, file }: ArtifactPath): string {
  return `${repository}:${name}/${version}/${file}`.toLowerCase();
}

/** `acme/hello/program@12-7fd1a60b` → its two halves. */
export function parseNameAtVersion(text: string): { name: string; version: string } {
  const at = text.lastIndexOf('@');
  const name = text.slice(0, Math.max(at, 0));
  const version = text.slice(at + 1);
  requirePart(ArtifactName, 'name', name);
  requirePart(PathSegment, 'version', version);
  return { name, version };
}

/** What a run's outputs are called: the tag if one was built, otherwise the number of the run and the commit. */
export function versionOf({ ref, number, commit }: { ref: string; number: number; commit: string }): string {
  const tag = /^refs\/tags\/(?:v(?=\d))?(.+)$/.exec(ref)?.[1]?.replaceAll('/', '-');
  return tag !== undefined && PathSegment.safeParse(tag).success ? tag : `${number}-${commit.slice(0, 8)}`;
}

function requirePart(schema: z.ZodType, part: string, value: string): void {
  const result = schema.safeParse(value);
  if (!result.success) throw invalid(part, result.error.issues[0]?.message ?? 'is not accepted');
}

const invalid = (part: string, message: string) =>
  new Problem({
    code: 'artifact.path_invalid',
    kind: 'invalid',
    message: `The ${part} is refused: ${message}.`,
    hint: 'Choose another name; what is refused here would mean different files on different systems.',
    details: { part },
  });
