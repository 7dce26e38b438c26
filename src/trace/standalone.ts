import { readFile, stat } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { digestOfFile, type Output, runVerifier } from '#attest';
import { type Check, parseDigest, Problem } from '#base';
import { parsePolicy } from '#ledger';
import { CAPSULE_CHARS_MAX } from './capsule.ts';
import { type CapsuleVerdict, policyOfKey, verifyCapsule } from './verify-capsule.ts';

/**
 * The verifier alone, for a machine without Waybill: `node waybill-verify.mjs capsule FILE …` verifies a whole chain; any other
 * words verify one bundle. scripts/build-verifier.ts makes one file of this one and what it imports. It opens the files it is
 * given, and nothing else: no network, no configuration, no environment.
 */

const USAGE = `Usage: waybill-verify capsule FILE --trusted-root FILE (--vkey VKEY | --policy FILE)
                      (--artifact FILE | --digest sha256:DIGEST) [--unpinned] [--json]

Verifies offline a chain that \`waybill trace export\` wrote: every fact in the ledger of VKEY, every bundle
against the trusted root, every hop against the next. --unpinned believes the keys in FILE where none is given.
Exit status: 0 verified, 3 not verified, 2 wrong usage or something cannot be read.`;

/** The names of its fields do not change; new ones may be added. */
interface CapsuleDocument extends CapsuleVerdict {
  format: 'waybill.capsule-verdict/v1';
  file: string;
}

/** Runs one command line; gives the exit status. */
export async function runStandalone(words: readonly string[], output: Output): Promise<number> {
  if (words[0] !== 'capsule') return await runVerifier(words, output);
  try {
    const options = readOptions(words.slice(1));
    if (!options) {
      output.err(`${USAGE}\n`);
      return 2;
    }
    const document = await verifyFile(options);
    output.out(options.json ? `${JSON.stringify(document, null, 2)}\n` : describe(document));
    return document.ok ? 0 : 3;
  } catch (error) {
    const hint = Problem.is(error) ? ` ${error.hint}` : '';
    output.err(`error: ${error instanceof Error ? error.message : 'unknown'}${hint}\n`);
    return 2;
  }
}

function readOptions(words: readonly string[]) {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      'trusted-root': text,
      vkey: text,
      policy: text,
      artifact: text,
      digest: text,
      unpinned: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  });
  const [file] = positionals;
  const { vkey, policy, artifact, digest, unpinned = false, json = false, 'trusted-root': trustedRoot } = values;
  const isPinned = trustedRoot !== undefined && (vkey !== undefined || policy !== undefined);
  const isTwice = (vkey !== undefined && policy !== undefined) || (artifact !== undefined && digest !== undefined);
  if (!file || positionals.length !== 1 || isTwice || !(isPinned || unpinned)) return undefined;
  if (artifact === undefined && digest === undefined) return undefined;
  return { file, vkey, policy, artifact, digest, unpinned, json, trustedRoot };
}

async function verifyFile(options: NonNullable<ReturnType<typeof readOptions>>): Promise<CapsuleDocument> {
  const { file, vkey, policy, artifact, digest, unpinned, trustedRoot } = options;
  if ((await stat(file)).size > CAPSULE_CHARS_MAX * 4) throw new Error('This file is larger than any capsule.');
  const verdict = await verifyCapsule(await readFile(file, 'utf8'), {
    ...(vkey === undefined ? {} : { policy: policyOfKey(vkey) }),
    ...(policy === undefined ? {} : { policy: parsePolicy(await readFile(policy, 'utf8')) }),
    ...(trustedRoot === undefined ? {} : { trustedRoot: await readFile(trustedRoot) }),
    artifact: artifact === undefined ? parseDigest(digest ?? '') : await digestOfFile(artifact),
    believeCapsule: unpinned,
  });
  return { format: 'waybill.capsule-verdict/v1', file, ...verdict };
}

// What a capsule says may hold anything; a terminal gets printable characters only.
const plain = (text: string) => text.replaceAll(/[^\x20-\x7e]/g, '?');

function describe({ file, ok, digest, pinned, checks }: CapsuleDocument): string {
  const known = [
    ...(digest === undefined ? [] : [`  digest ${digest}`]),
    `  ledger key ${pinned.ledger ? 'pinned' : 'NOT PINNED'}, trusted root ${pinned.trustedRoot ? 'pinned' : 'NOT PINNED'}`,
  ];
  const end = ok ? `${file}: the chain holds.` : `${file} does NOT prove a whole chain.`;
  return [...checks.flatMap(lines), '', ...known, '', end, ''].map(plain).join('\n');
}

const WORDS = { passed: 'passed     ', failed: 'FAILED     ', not_checked: 'not checked' };

function lines({ name, status, detail, expected, found, fix }: Check): string[] {
  const notes = [
    ['expected: ', expected],
    ['found:    ', found],
    ['fix:      ', fix],
  ] as const;
  return [
    `  ${WORDS[status]}  ${name}${detail === undefined ? '' : `: ${detail}`}`,
    ...notes.flatMap(([label, text]) => (text === undefined ? [] : [`                 ${label}${text}`])),
  ];
}

/** Run by itself, not imported by a test. */
const [, script] = process.argv;
if (script !== undefined && import.meta.url === pathToFileURL(script).href) {
  process.exitCode = await runStandalone(process.argv.slice(2), {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
  });
}
