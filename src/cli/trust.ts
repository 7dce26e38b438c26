import { writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { BUNDLE_BYTES_MAX, showBundle, showTrustedRoot } from '#attest';
import { parseDigest } from '#base';
import type { Run } from './command.ts';
import { withClient } from './connect.ts';

const TRUSTED_ROOT_BYTES_MAX = 4 * 1024 * 1024;

/** The keys and certificates that bundles lead back to. Whoever fetches them over this connection trusts its CA with that. */
export const fetchTrustedRoot: Run = async (invocation) => {
  const file = invocation.flag('out') ?? 'trusted_root.json';
  const bytes = await withClient(invocation, async (client) =>
    buffer((await client.download(showTrustedRoot, {}, { maxBytes: TRUSTED_ROOT_BYTES_MAX })).stream),
  );
  await writeFile(file, bytes);
  return { document: { file, size: bytes.length }, text: `Wrote ${file}.` };
};

export const fetchBundle: Run = async (invocation) => {
  const digest = parseDigest(invocation.required('bundle'));
  const file = invocation.flag('out') ?? `${digest.slice(7, 19)}.sigstore.json`;
  const bytes = await withClient(invocation, async (client) =>
    buffer((await client.download(showBundle, { params: { digest } }, { digest, maxBytes: BUNDLE_BYTES_MAX })).stream),
  );
  await writeFile(file, bytes);
  return { document: { file, digest, size: bytes.length }, text: `Wrote ${file}.` };
};
