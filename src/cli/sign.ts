import { createHash, createSign, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import {
  BUNDLE_MEDIA_TYPE,
  type BundleVerdict,
  certifyKey,
  checkPredicate,
  IN_TOTO_PAYLOAD_TYPE,
  preAuthEncoding,
  receiveBundle,
  showTrustedRoot,
  STATEMENT_TYPE,
  verifyBundle,
  witnessSignature,
} from '#attest';
import { canonicalJson, createDigester, type Digest, hexOf, isDigest, parseDigest, parseJson, Problem } from '#base';
import { type Client, createClient } from '#client';
import { identityContract } from '#identity';
import type { Invocation, Run } from './command.ts';
import { connect, readCa } from './connect.ts';
import { UsageError } from './exit.ts';
import { replaceFile } from './home.ts';
import { renderFields } from './output.ts';

const ROOT_CHARS_MAX = 4 * 1024 * 1024;
const PREDICATE_CHARS_MAX = 512 * 1024;

interface Signed {
  bundle: unknown;
  signer: string;
  verdict: BundleVerdict;
}

/** What is signed, and how with a key that the server certifies. */
interface Content {
  artifact: Digest | undefined;
  sign(key: KeyObject): Promise<Buffer>;
  /** For the log. */
  content: { payload: string; payloadType: typeof IN_TOTO_PAYLOAD_TYPE } | { digest: Digest };
  /** For the bundle. */
  render(signature: string): object;
}

export const signFile: Run = async (invocation) => {
  const file = invocation.required('file');
  const out = invocation.flag('out') ?? `${file}.sigstore.json`;
  const { signed } = await withSigner(invocation, async (client, token) => {
    return { signed: await signContent(client, token, await fileContent(file), invocation) };
  });
  await replaceFile(out, `${JSON.stringify(signed.bundle)}\n`, 0o644);
  const fields = renderFields(invocation.terminal, [
    ['signer', signed.signer],
    ['issuer', signed.verdict.signer?.issuer],
    ['log entry', signed.verdict.entry?.logIndex],
    ['bundle', out],
  ]);
  return { document: { file, bundle: out, signer: signed.verdict.signer }, text: `Signed ${file}.\n${fields}` };
};

export const createAttestation: Run = async (invocation) => {
  const predicateType = invocation.flag('type') ?? '';
  const document = parseJson(await readFile(invocation.flag('predicate') ?? '', 'utf8'), PREDICATE_CHARS_MAX);
  const statement = {
    _type: STATEMENT_TYPE,
    subject: await Promise.all(invocation.list('subject').map(readSubject)),
    predicateType,
    predicate: checkPredicate(predicateType, document),
  };
  const out = invocation.flag('out');
  const found = await withSigner(
    invocation,
    async (client, token) => {
      const signed = await signContent(client, token, statementContent(statement), invocation);
      const kept = invocation.isSet('upload')
        ? await client.call(receiveBundle, { body: { bundle: signed.bundle as Record<string, unknown> } })
        : undefined;
      return { signed, kept };
    },
    invocation.isSet('upload'),
  );
  const { signed, kept } = found;
  const text = `${JSON.stringify(signed.bundle)}\n`;
  if (out !== undefined) await replaceFile(out, text, 0o644);
  const left = { bundle: out ?? signed.bundle, signer: signed.verdict.signer, kept: kept ?? null };
  if (out === undefined && !kept) return { document: left, text: text.trimEnd() };
  const fields = renderFields(invocation.terminal, [
    ['claim', statement.predicateType],
    ['signer', signed.signer],
    ['issuer', signed.verdict.signer?.issuer],
    ['log entry', signed.verdict.entry?.logIndex],
    ['bundle', out ?? kept?.bundle],
    ['level', kept === undefined ? undefined : `at most SLSA build level ${kept.buildLevel}`],
  ]);
  return { document: left, text: `Signed.\n${fields}` };
};

/** A client and a token that says who signs: from a file, or for whoever is logged in. */
async function withSigner<T>(
  invocation: Invocation,
  work: (client: Client, token: string) => Promise<T>,
  loggedIn = false,
): Promise<T> {
  const file = invocation.flag('identity-token');
  const client = file === undefined || loggedIn ? await connect(invocation) : await connectAnonymously(invocation);
  try {
    const token =
      file === undefined
        ? (await client.call(identityContract.issueIdentityToken)).token
        : (await readFile(file, 'utf8')).trim();
    return await work(client, token);
  } finally {
    client.close();
  }
}

async function connectAnonymously(invocation: Invocation): Promise<Client> {
  const server = invocation.flag('server') ?? invocation.terminal.env['WAYBILL_SERVER'];
  // A job of another CI is logged in nowhere; somebody who is logged in may try a token all the same.
  if (server === undefined) return await connect(invocation);
  return createClient({ url: server, ca: await readCa(invocation) });
}

async function signContent(client: Client, token: string, content: Content, invocation: Invocation): Promise<Signed> {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { certificates, san, issuer } = await client.call(certifyKey, {
    body: {
      token,
      publicKey: key.publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
      proof: sign('sha256', Buffer.from(subjectOf(token)), key.privateKey).toString('base64'),
    },
  });
  const certificate = certificates[0] ?? '';
  const signature = (await content.sign(key.privateKey)).toString('base64');
  const { timestamp, entry } = await client.call(witnessSignature, {
    body: {
      content: content.content,
      signature,
      certificate,
      format: invocation.flag('format') === 'rekor2' ? 'rekor2' : 'rekor1',
    },
  });
  const bundle = {
    mediaType: BUNDLE_MEDIA_TYPE,
    verificationMaterial: {
      certificate: { rawBytes: certificate },
      tlogEntries: [entry],
      timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: timestamp }] },
    },
    ...content.render(signature),
  };
  const verdict = verifyBundle({
    bundle,
    trustedRoot: await fetchTrustedRoot(client),
    ...(content.artifact === undefined ? {} : { artifact: content.artifact }),
    accept: 'message',
    expect: { issuer, san },
  });
  if (!verdict.ok) throw badAnswer(verdict);
  return { bundle, signer: san, verdict };
}

async function fileContent(file: string): Promise<Content> {
  const digester = createDigester();
  for await (const chunk of createReadStream(file)) digester.update(chunk as Buffer);
  const artifact = digester.digest();
  return {
    artifact,
    content: { digest: artifact },
    // The file is read once more; if it has changed in between, the signature is not of this digest and is not logged.
    async sign(key) {
      const signer = createSign('sha256');
      for await (const chunk of createReadStream(file)) signer.update(chunk as Buffer);
      return signer.sign(key);
    },
    render: (signature) => ({
      messageSignature: {
        messageDigest: { algorithm: 'SHA2_256', digest: Buffer.from(hexOf(artifact), 'hex').toString('base64') },
        signature,
      },
    }),
  };
}

function statementContent(statement: object): Content {
  const payload = Buffer.from(canonicalJson(statement));
  const text = payload.toString('base64');
  return {
    artifact: undefined,
    content: { payload: text, payloadType: IN_TOTO_PAYLOAD_TYPE },
    sign: async (key) => sign('sha256', preAuthEncoding(IN_TOTO_PAYLOAD_TYPE, payload), key),
    render: (signature) => ({
      dsseEnvelope: { payload: text, payloadType: IN_TOTO_PAYLOAD_TYPE, signatures: [{ sig: signature }] },
    }),
  };
}

/** A digest, or a file to be hashed; its name is the last part of its path. */
async function readSubject(text: string): Promise<{ name: string; digest: Record<string, string> }> {
  if (isDigest(text)) return { name: text, digest: { sha256: hexOf(parseDigest(text)) } };
  const commit = /^gitCommit:([0-9a-f]{40,64})$/.exec(text);
  if (commit) return { name: text, digest: { gitCommit: commit[1]! } };
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(text)) hash.update(chunk as Buffer);
  return { name: text.split('/').at(-1) ?? text, digest: { sha256: hash.digest('hex') } };
}

/** What the key has to be proven with; the server verifies the token. */
function subjectOf(token: string): string {
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    const { sub } = payload as { sub?: unknown };
    if (typeof sub === 'string' && sub !== '') return sub;
  } catch {
    // Said below.
  }
  throw new UsageError('The identity token has no subject.', 'Give the file with the token as the issuer printed it.');
}

async function fetchTrustedRoot(client: Client): Promise<unknown> {
  const { stream } = await client.download(showTrustedRoot, {}, { maxBytes: ROOT_CHARS_MAX });
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return parseJson(Buffer.concat(chunks).toString('utf8'), ROOT_CHARS_MAX);
}

const badAnswer = ({ checks }: BundleVerdict) =>
  new Problem({
    code: 'cli.signature_unverified',
    kind: 'rejected',
    message: `What the server answered does not verify: ${checks.find(({ status }) => status !== 'passed')?.name ?? ''}.`,
    hint: 'Nothing was written. Check the clock of the server with waybill doctor.',
    details: { checks },
  });
