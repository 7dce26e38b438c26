import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import {
  type BundleVerdict,
  BUNDLE_BYTES_MAX,
  listAttestations,
  showBundle,
  showTrustedRoot,
  verifyBundle,
} from '#attest';
import { createDigester, type Digest, failed, parseDigest, parseJson, type Verdict, verdictOf } from '#base';
import type { Client } from '#client';
import type { Invocation, Outcome, Run } from './command.ts';
import { withClient } from './connect.ts';
import { renderFields, renderTime, renderVerdict, shortDigest } from './output.ts';
import { printable } from './printable.ts';
import { requireRecord } from './resolve-artifact.ts';

const TRUSTED_ROOT_BYTES_MAX = 4 * 1024 * 1024;

/** Needs no server and no network: the file, its bundle, the trusted root, and who is expected to have signed. */
export const verifyFile: Run = async (invocation) => {
  const file = invocation.required('file');
  const digest = await digestFile(file);
  const verdict = verifyBundle({
    bundle: await readFile(invocation.flag('bundle') ?? `${file}.sigstore.json`),
    trustedRoot: await readFile(invocation.flag('trusted-root') ?? ''),
    artifact: digest,
    ...(await readSmall(file)),
    accept: 'message',
    expect: expectationOf(invocation, invocation.flag('issuer') ?? ''),
  });
  return outcomeOf(invocation, file, digest, verdict);
};

const SMALL_BYTES = 64 * 1024 * 1024;

/** The bytes of a file that fits into memory: sigstore-js hashes for itself, so it is asked about a bare signature only then. */
async function readSmall(file: string): Promise<{ artifactBytes?: Uint8Array }> {
  return (await stat(file)).size <= SMALL_BYTES ? { artifactBytes: await readFile(file) } : {};
}

async function digestFile(file: string): Promise<Digest> {
  const digester = createDigester();
  for await (const chunk of createReadStream(file)) digester.update(chunk as Buffer);
  return digester.digest();
}

function expectationOf(invocation: Invocation, issuer: string) {
  const predicateType = invocation.flag('predicate-type');
  return {
    issuer,
    san: invocation.flag('identity') ?? '',
    ...(predicateType === undefined ? {} : { predicateType }),
  };
}

function outcomeOf(invocation: Invocation, name: string, digest: Digest, verdict: BundleVerdict): Outcome {
  const signer = verdict.signer?.san ?? '';
  const yes = `${name} is verified: signed by ${signer}`;
  const claims = verdict.statement
    ? renderFields(invocation.terminal, [
        ['digest', digest],
        ['claim', verdict.statement.predicateType],
        ['signer', signer],
        ['issuer', verdict.signer?.issuer],
        ['signed', verdict.signedAt === undefined ? '' : renderTime(new Date(verdict.signedAt).toISOString())],
        ['log entry', verdict.entry?.logIndex],
      ])
    : '';
  const text = renderVerdict(invocation.terminal, verdict, printable(yes), `${printable(name)} is NOT verified.`);
  return {
    document: { file: name, digest, ...verdict },
    text: claims ? `${text}\n\n${claims}` : text,
    exit: verdict.ok ? 'yes' : 'no',
  };
}

/** Bundles and trusted root come from the server; whether they hold is computed here. */
export const verifyArtifact: Run = async (invocation) => {
  const found = await withClient(invocation, async (client) => {
    const record = await requireRecord(client, invocation.required('artifact'), invocation.flag('file'));
    const digest = parseDigest(record.digest);
    const { items } = await client.call(listAttestations, { params: { digest } });
    const trustedRoot = await fetchJson(client, 'root');
    const bundles = await Promise.all(items.map((item) => fetchJson(client, parseDigest(item.bundle))));
    const issuer = invocation.flag('issuer') ?? `${client.origin}/oidc/control`;
    const expect = expectationOf(invocation, issuer);
    const verdicts = bundles.map((bundle) => verifyBundle({ bundle, trustedRoot, artifact: digest, expect }));
    return { record, digest, verdicts };
  });
  const best = found.verdicts.find((verdict) => verdict.ok) ?? nearestOf(found.verdicts);
  return outcomeOf(invocation, `${found.record.name}@${found.record.version}`, found.digest, best);
};

/** Of several that do not hold, the one that came furthest says most; of none, that there is none. */
function nearestOf(verdicts: readonly BundleVerdict[]): BundleVerdict {
  const failures = (verdict: Verdict): number => verdict.checks.filter((check) => check.status !== 'passed').length;
  const [best] = verdicts.toSorted((a, b) => failures(a) - failures(b));
  return best ?? verdictOf([failed('attestation', ABSENT)]);
}

const ABSENT = {
  code: 'attest.absent',
  expected: 'a signed bundle that names this digest',
  found: 'none',
  fix: 'Only what a build published to the release repository is signed.',
};

async function fetchJson(client: Client, what: Digest | 'root'): Promise<unknown> {
  const download =
    what === 'root'
      ? await client.download(showTrustedRoot, {}, { maxBytes: TRUSTED_ROOT_BYTES_MAX })
      : await client.download(showBundle, { params: { digest: what } }, { digest: what, maxBytes: BUNDLE_BYTES_MAX });
  const chunks: Buffer[] = [];
  for await (const chunk of download.stream) chunks.push(chunk as Buffer);
  return parseJson(Buffer.concat(chunks).toString('utf8'), TRUSTED_ROOT_BYTES_MAX);
}

/** What is signed about a digest, shown without judging it: works on what would not verify, too. */
export const showAttestations: Run = async (invocation) => {
  const digest = parseDigest(invocation.required('digest'));
  const items = await withClient(invocation, async (client) => {
    const page = await client.call(listAttestations, { params: { digest } });
    return Promise.all(
      page.items.map(async (item) => ({
        ...item,
        statement: statementOf(await fetchJson(client, parseDigest(item.bundle))),
      })),
    );
  });
  const parts = items.map((item) =>
    renderFields(invocation.terminal, [
      ['claim', item.predicateType],
      ['signer', item.signer],
      ['issuer', item.issuer],
      ['made', renderTime(item.madeAt)],
      ['log entry', item.logIndex],
      ['bundle', shortDigest(item.bundle)],
    ]),
  );
  const note = 'Shown as it was recorded, not verified here: waybill artifact verify does that.';
  const text = items.length === 0 ? 'Nothing signed names this digest.' : [...parts, note].join('\n\n');
  return { document: { items, next: null }, text };
};

function statementOf(bundle: unknown): unknown {
  const payload = (bundle as { dsseEnvelope?: { payload?: unknown } }).dsseEnvelope?.payload;
  if (typeof payload !== 'string') return null;
  try {
    return JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as unknown;
  } catch {
    return null;
  }
}

/** A bundle by itself: whether it holds, and about what; `--digest` also demands that it is about that artifact. */
export const verifyAttestation: Run = async (invocation) => {
  const file = invocation.required('bundle');
  const digest = invocation.flag('digest');
  const verdict = verifyBundle({
    bundle: await readFile(file),
    trustedRoot: await readFile(invocation.flag('trusted-root') ?? ''),
    ...(digest === undefined ? {} : { artifact: parseDigest(digest) }),
    expect: expectationOf(invocation, invocation.flag('issuer') ?? ''),
  });
  const subjects =
    verdict.statement?.subject.map((subject) => `${subject.name ?? ''} ${JSON.stringify(subject.digest)}`) ?? [];
  const text = renderVerdict(invocation.terminal, verdict, `${file} is verified.`, `${file} is NOT verified.`);
  return {
    document: { file, ...verdict },
    text: [text, ...subjects.map((subject) => `  about ${printable(subject)}`)].join('\n'),
    exit: verdict.ok ? 'yes' : 'no',
  };
};
