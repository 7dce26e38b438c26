import { createPublicKey } from 'node:crypto';
import { toPem } from './certificate.ts';
import { signingConfig } from './signing-config.ts';
import { printTrustedRoot } from './trusted-root.ts';
import { renderTrustedRoot, type TrustState } from './trust-state.ts';
import type { TargetFile } from './tuf.ts';

/** What the TUF repository hands out: the trusted root, where to sign, and single keys for clients that know no trusted root. */
export function targetFiles(state: TrustState): Record<string, TargetFile> {
  const { publicUrl, ca, tsa, ct, log } = state;
  const files: Record<string, TargetFile> = {
    'trusted_root.json': { content: printTrustedRoot(renderTrustedRoot(state)) },
    'signing_config.v0.2.json': { content: `${JSON.stringify(signingConfig(state))}\n` },
  };
  const legacy = (name: string, usage: string, content: string, { generation, end }: Generation) => {
    const [stem = '', ...rest] = name.split('.');
    const named = generation === 1 ? name : [`${stem}_${generation}`, ...rest].join('.');
    files[named] = {
      content,
      custom: { sigstore: { usage, status: end === undefined ? 'Active' : 'Expired', uri: publicUrl } },
    };
  };
  for (const one of log) legacy('rekor.pub', 'Rekor', publicPem(one.key), one);
  for (const one of ct) legacy('ctfe.pub', 'CTFE', publicPem(one.key), one);
  for (const one of ca) {
    legacy('fulcio_v1.crt.pem', 'Fulcio', toPem(one.root.der), one);
    legacy('fulcio_intermediate_v1.crt.pem', 'Fulcio', toPem(one.intermediate.der), one);
  }
  for (const one of tsa) {
    legacy('tsa_leaf.crt.pem', 'TSA', toPem(one.signer.der), one);
    legacy('tsa_root.crt.pem', 'TSA', toPem(one.root.der), one);
  }
  return files;
}

interface Generation {
  generation: number;
  end: number | undefined;
}

const publicPem = (spki: Buffer) =>
  createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'pem', type: 'spki' }).toString();
