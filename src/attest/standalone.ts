import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { createDigester, type Digest, isDigest, Problem } from '#base';
import { type BundleVerdict, verifyBundle } from './verify.ts';

/**
 * What the verifier alone does with a bundle: `node waybill-verify.mjs FILE|sha256:… --bundle … --trusted-root … …`.
 * scripts/build-verifier.ts makes one file of it, together with the verifier of capsules (src/trace/standalone.ts). It opens the files it is given, and nothing else: no
 * network, no configuration, no environment.
 */

const USAGE = `Usage: waybill-verify FILE|sha256:DIGEST --trusted-root FILE --identity NAME --issuer URL
                      [--bundle FILE] [--predicate-type URI] [--json]

Verifies offline that NAME, vouched for by URL, signed this file or a statement about it. Names are compared
letter by letter. The bundle is FILE.sigstore.json unless said.
Exit status: 0 verified, 3 not verified, 2 wrong usage or something cannot be read.`;

/** The names of its fields and of its checks do not change; new ones may be added. */
export interface VerdictDocument {
  format: 'waybill.verdict/v1';
  subject: string;
  digest: Digest;
  ok: boolean;
  checks: BundleVerdict['checks'];
  signer?: BundleVerdict['signer'];
  statement?: BundleVerdict['statement'];
  /** ISO 8601. */
  signedAt?: string;
  entry?: { logIndex: number; integratedAt: string };
}

export interface Output {
  out(text: string): void;
  err(text: string): void;
}

/** Runs one command line; gives the exit status. */
export async function runVerifier(words: readonly string[], output: Output): Promise<number> {
  try {
    const options = readOptions(words);
    if (!options) {
      output.err(`${USAGE}\n`);
      return 2;
    }
    const document = await verifySubject(options);
    output.out(options.json ? `${JSON.stringify(document, null, 2)}\n` : describe(document));
    return document.ok ? 0 : 3;
  } catch (error) {
    const hint = Problem.is(error) ? ` ${error.hint}` : '';
    output.err(`error: ${error instanceof Error ? error.message : 'unknown'}${hint}\n`);
    return 2;
  }
}

interface Options {
  subject: string;
  bundle: string;
  trustedRoot: string;
  identity: string;
  issuer: string;
  predicateType: string | undefined;
  json: boolean;
}

function readOptions(words: readonly string[]): Options | undefined {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      bundle: text,
      'trusted-root': text,
      identity: text,
      issuer: text,
      'predicate-type': text,
      json: { type: 'boolean' },
    },
  });
  const [subject] = positionals;
  const { bundle, identity, issuer, 'trusted-root': trustedRoot, json = false } = values;
  if (positionals.length !== 1 || !subject || !trustedRoot || !identity || !issuer) return undefined;
  if (isDigest(subject) && bundle === undefined) return undefined;
  return {
    subject,
    bundle: bundle ?? `${subject}.sigstore.json`,
    trustedRoot,
    identity,
    issuer,
    predicateType: values['predicate-type'],
    json,
  };
}

/** sigstore-js hashes a signed file for itself; it is asked about files up to this size. */
const BYTES_IN_MEMORY_MAX = 64 * 1024 * 1024;

async function verifySubject({ subject, predicateType, ...options }: Options): Promise<VerdictDocument> {
  const isFile = !isDigest(subject);
  const digest = isFile ? await digestOfFile(subject) : subject;
  const small = isFile && (await stat(subject)).size <= BYTES_IN_MEMORY_MAX;
  const verdict = verifyBundle({
    bundle: await readFile(options.bundle),
    trustedRoot: await readFile(options.trustedRoot),
    artifact: digest,
    ...(small ? { artifactBytes: await readFile(subject) } : {}),
    accept: 'message',
    expect: {
      issuer: options.issuer,
      san: options.identity,
      ...(predicateType === undefined ? {} : { predicateType }),
    },
  });
  const { ok, checks, signer, statement, signedAt, entry } = verdict;
  return {
    format: 'waybill.verdict/v1',
    subject,
    digest,
    ok,
    checks,
    ...(signer ? { signer } : {}),
    ...(statement ? { statement } : {}),
    ...(signedAt === undefined ? {} : { signedAt: new Date(signedAt).toISOString() }),
    ...(entry ? { entry: { ...entry, integratedAt: new Date(entry.integratedAt).toISOString() } } : {}),
  };
}

export async function digestOfFile(file: string): Promise<Digest> {
  const digester = createDigester();
  for await (const chunk of createReadStream(file)) digester.update(chunk as Buffer);
  return digester.digest();
}

// What a bundle says may hold anything; a terminal gets printable characters only.
const plain = (text: string) => text.replaceAll(/[^\x20-\x7e]/g, '?');

function describe({ subject, digest, ok, checks, signer, statement, signedAt }: VerdictDocument): string {
  const words = { passed: 'passed     ', failed: 'FAILED     ', not_checked: 'not checked' };
  const lines = checks.flatMap(({ name, status, detail, expected, found, fix }) => [
    `  ${words[status]}  ${name}${detail === undefined ? '' : `: ${detail}`}`,
    ...(expected === undefined ? [] : [`                 expected: ${expected}`]),
    ...(found === undefined ? [] : [`                 found:    ${found}`]),
    ...(fix === undefined ? [] : [`                 fix:      ${fix}`]),
  ]);
  const claims = [
    `  digest ${digest}`,
    ...(statement ? [`  claim  ${statement.predicateType}`] : []),
    ...(signer ? [`  signer ${signer.san}`, `  issuer ${signer.issuer}`] : []),
    ...(signedAt === undefined ? [] : [`  signed ${signedAt}`]),
  ];
  const end = ok ? `${subject} is verified.` : `${subject} is NOT verified.`;
  return [...lines, '', ...claims, '', end, ''].map(plain).join('\n');
}
