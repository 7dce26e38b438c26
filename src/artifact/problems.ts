import { Problem } from '#base';
import type { ArtifactPath } from './path.ts';

export const notFound = (what: string) =>
  new Problem({
    code: 'artifact.not_found',
    kind: 'not_found',
    message: `There is no artifact ${what.slice(0, 120)}, or you may not see it.`,
    hint: 'Check the spelling, or list what there is: waybill artifact list.',
  });

export const releaseIsClosed = () =>
  new Problem({
    code: 'artifact.release_is_closed',
    kind: 'forbidden',
    message: 'Nobody uploads to a release repository: only Waybill itself puts the outputs of successful runs there.',
    hint: 'Push the source and let CI build it, or upload to the playground to try things out.',
  });

export const versionIsImmutable = ({ name, version, file }: ArtifactPath) =>
  new Problem({
    code: 'artifact.version_immutable',
    kind: 'conflict',
    message: `${name}@${version} has a file ${file} already (or one that differs in upper and lower case only).`,
    hint: 'A version never changes. Use a new version.',
  });

export const rangeInvalid = (size: number) =>
  new Problem({
    code: 'artifact.range_invalid',
    kind: 'invalid',
    message: `The file has ${size} bytes; the range lies outside.`,
    hint: 'Ask for bytes within the file.',
    details: { size },
  });
