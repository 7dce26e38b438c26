/** Recipe and files → OCI image layout in a tar archive (OCI image-spec 1.1). The same input gives the same bytes. */
import { createHash } from 'node:crypto';
import type { ImageRecipe } from './dockerfile.ts';
import { buildTar, type TarEntry } from './tar.ts';

export interface ImageInput {
  readonly recipe: ImageRecipe;
  /** Files of the image by absolute path. */
  readonly files: ReadonlyMap<string, { readonly mode: number; readonly bytes: Buffer }>;
  readonly name: string;
  readonly tag: string;
  readonly architecture: string;
  /** SOURCE_DATE_EPOCH. */
  readonly createdSeconds: number;
}

interface Blob {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly digest: string;
}

export function assembleImage(input: ImageInput): { archive: Buffer; manifestDigest: string } {
  const layer = blob('application/vnd.oci.image.layer.v1.tar', buildTar(layerEntries(input), input.createdSeconds));
  const config = blob('application/vnd.oci.image.config.v1+json', json(configOf(input, layer.digest)));
  const manifest = blob(
    'application/vnd.oci.image.manifest.v1+json',
    json({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: descriptor(config),
      layers: [descriptor(layer)],
      annotations: { 'org.opencontainers.image.created': isoOf(input) },
    }),
  );
  const index = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [
      {
        ...descriptor(manifest),
        platform: { architecture: input.architecture, os: 'linux' },
        annotations: {
          'org.opencontainers.image.ref.name': input.tag,
          'io.containerd.image.name': `${input.name}:${input.tag}`,
        },
      },
    ],
  });
  const blobs = [layer, config, manifest].map(({ digest, bytes }): TarEntry => ({
    path: `blobs/sha256/${digest.slice('sha256:'.length)}`,
    mode: 0o644,
    bytes,
  }));
  const entries: TarEntry[] = [
    { path: 'blobs', mode: 0o755, bytes: 'directory' },
    { path: 'blobs/sha256', mode: 0o755, bytes: 'directory' },
    ...blobs.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    { path: 'index.json', mode: 0o644, bytes: index },
    { path: 'oci-layout', mode: 0o644, bytes: json({ imageLayoutVersion: '1.0.0' }) },
  ];
  return { archive: buildTar(entries, input.createdSeconds), manifestDigest: manifest.digest };
}

function layerEntries({ files }: ImageInput): TarEntry[] {
  const directories = new Set<string>();
  for (const path of files.keys()) {
    const parts = path.slice(1).split('/').slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth++) directories.add(parts.slice(0, depth).join('/'));
  }
  const entries: TarEntry[] = [
    ...[...directories].map((path): TarEntry => ({ path, mode: 0o755, bytes: 'directory' })),
    ...[...files].map(([path, { mode, bytes }]): TarEntry => ({ path: path.slice(1), mode, bytes })),
  ];
  return entries.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function configOf({ recipe, architecture, ...input }: ImageInput, layer: string): unknown {
  const entries = <T>(list: readonly T[], key: string, value: unknown) => (list.length === 0 ? {} : { [key]: value });
  return {
    created: isoOf(input),
    architecture,
    os: 'linux',
    config: {
      ...(recipe.user === '' ? {} : { User: recipe.user }),
      ...entries(recipe.ports, 'ExposedPorts', Object.fromEntries(recipe.ports.map((port) => [port, {}]))),
      ...entries(
        recipe.env,
        'Env',
        recipe.env.map(([name, value]) => `${name}=${value}`),
      ),
      ...entries(recipe.entrypoint, 'Entrypoint', recipe.entrypoint),
      ...entries(recipe.cmd, 'Cmd', recipe.cmd),
      WorkingDir: recipe.workdir,
      ...entries(recipe.labels, 'Labels', Object.fromEntries(recipe.labels)),
    },
    rootfs: { type: 'layers', diff_ids: [layer] },
    history: [{ created: isoOf(input), created_by: 'waybill/build-image' }],
  };
}

const isoOf = ({ createdSeconds }: Pick<ImageInput, 'createdSeconds'>): string =>
  new Date(createdSeconds * 1000).toISOString().replace('.000Z', 'Z');
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const blob = (mediaType: string, bytes: Buffer): Blob => ({
  mediaType,
  bytes,
  digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
});
const descriptor = ({ mediaType, digest, bytes }: Blob) => ({ mediaType, digest, size: bytes.length });
