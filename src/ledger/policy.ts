import { failed, passed, Problem, verdictOf } from '#base';
import type { Verdict } from '#base';
import { parseCheckpoint } from './checkpoint.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { openNote } from './note.ts';
import { parseVkey } from './vkey.ts';
import type { NoteVerifier } from './vkey.ts';

/** C2SP tlog-policy: which logs are trusted, and whose cosignatures a checkpoint needs. Pure, usable with no server at all. */

export interface PolicyLog {
  verifier: NoteVerifier;
  url?: string;
}

export interface PolicyWitness extends PolicyLog {
  name: string;
}

/** `k` of the members, each a witness or another group. */
export interface PolicyGroup {
  name: string;
  k: number;
  members: readonly string[];
}

export interface Policy {
  logs: readonly PolicyLog[];
  witnesses: readonly PolicyWitness[];
  groups: readonly PolicyGroup[];
  /** The witness or group that must have cosigned; undefined for `quorum none`. */
  quorum: string | undefined;
}

const POLICY_MAX_CHARS = 256 * 1024;
const EACH_MAX = 128;
const NAME = /^[^\s#]{1,120}$/u;

/** Untrusted text → policy; `Problem ledger.policy_invalid` names the line. */
export function parsePolicy(text: string): Policy {
  if (text.length > POLICY_MAX_CHARS) throw invalid(0, `is longer than ${POLICY_MAX_CHARS} characters`);
  const logs: PolicyLog[] = [];
  const witnesses: PolicyWitness[] = [];
  const groups: PolicyGroup[] = [];
  const parents = new Map<string, string | undefined>();
  let quorum: { name: string | undefined } | undefined;

  for (const [index, line] of text.split('\n').entries()) {
    const words = line.trim().split(/[ \t]+/);
    if (words[0] === '' || words[0]?.startsWith('#')) continue;
    parseLine(index + 1, words[0] as string, words.slice(1));
  }
  if (!quorum) throw invalid(0, 'has no quorum line');
  return { logs, witnesses, groups, quorum: quorum.name };

  function parseLine(line: number, keyword: string, words: readonly string[]): void {
    if (logs.length + witnesses.length + groups.length > 3 * EACH_MAX) throw invalid(line, 'has too many lines');
    if (keyword === 'log') parseLog(line, words);
    else if (keyword === 'witness') parseWitness(line, words);
    else if (keyword === 'group') parseGroup(line, words);
    else if (keyword === 'quorum') parseQuorum(line, words);
    else throw invalid(line, 'starts with none of log, witness, group and quorum');
  }

  function parseLog(line: number, [vkey, url, ...rest]: readonly string[]): void {
    if (vkey === undefined || rest.length > 0) throw invalid(line, 'is not `log VKEY [URL]`');
    logs.push({ verifier: parseKey(line, vkey), ...parseUrl(line, url) });
  }

  function parseWitness(line: number, [name, vkey, url, ...rest]: readonly string[]): void {
    if (name === undefined || vkey === undefined || rest.length > 0)
      throw invalid(line, 'is not `witness NAME VKEY [URL]`');
    const verifier = parseKey(line, vkey);
    if (verifier.algorithm !== 'cosignature' && verifier.algorithm !== 'ml-dsa-44')
      throw invalid(line, 'names a key that cannot cosign');
    if (witnesses.some((known) => known.verifier.vkey === vkey)) throw invalid(line, 'names a key a second time');
    define(line, name);
    witnesses.push({ name, verifier, ...parseUrl(line, url) });
  }

  function parseGroup(line: number, [name, threshold, ...members]: readonly string[]): void {
    if (name === undefined || threshold === undefined || members.length === 0)
      throw invalid(line, 'is not `group NAME all|any|K MEMBER…`');
    const k = thresholdOf(threshold, members.length);
    if (k === undefined) throw invalid(line, `asks for ${threshold} of ${members.length} members`);
    for (const member of members) {
      if (!parents.has(member)) throw invalid(line, `uses ${member} before it is defined`);
      if (parents.get(member) !== undefined) throw invalid(line, `uses ${member}, which is in a group already`);
      parents.set(member, name);
    }
    define(line, name);
    groups.push({ name, k, members });
  }

  function parseQuorum(line: number, [name, ...rest]: readonly string[]): void {
    if (name === undefined || rest.length > 0) throw invalid(line, 'is not `quorum NAME|none`');
    if (quorum) throw invalid(line, 'is a second quorum');
    if (name !== 'none' && !parents.has(name)) throw invalid(line, `uses ${name} before it is defined`);
    quorum = { name: name === 'none' ? undefined : name };
  }

  function define(line: number, name: string): void {
    if (!NAME.test(name) || name === 'none') throw invalid(line, 'has a name that cannot be used');
    if (parents.has(name)) throw invalid(line, `defines ${name} a second time`);
    parents.set(name, undefined);
  }
}

function thresholdOf(text: string, members: number): number | undefined {
  if (text === 'all') return members;
  if (text === 'any') return 1;
  const k = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : Number.NaN;
  return k <= members ? k : undefined;
}

function parseKey(line: number, vkey: string): NoteVerifier {
  try {
    return parseVkey(vkey);
  } catch (error) {
    if (Problem.is(error)) throw invalid(line, 'has a key that cannot be read');
    throw error;
  }
}

function parseUrl(line: number, url: string | undefined): { url?: string } {
  if (url === undefined) return {};
  if (!URL.canParse(url) || !/^https?:\/\//.test(url)) throw invalid(line, 'has an address that is not http or https');
  return { url: url.replace(/\/$/, '') };
}

/** Is the quorum there, given the keys (vkeys) that cosigned? */
export function quorumReached({ witnesses, groups, quorum }: Policy, signers: ReadonlySet<string>): boolean {
  if (quorum === undefined) return true;
  const reached = (name: string): boolean => {
    const witness = witnesses.find((candidate) => candidate.name === name);
    if (witness) return signers.has(witness.verifier.vkey);
    const group = groups.find((candidate) => candidate.name === name);
    return group !== undefined && group.members.filter(reached).length >= group.k;
  };
  return reached(quorum);
}

/**
 * Untrusted note → the checkpoint it is, if a log of the policy signed it; `verdict` says in addition whether the quorum did.
 * A bad signature of any key the policy knows refuses the note as a whole.
 */
export function judgeCheckpoint(
  note: string,
  policy: Policy,
): { checkpoint: SignedCheckpoint | undefined; verdict: Verdict } {
  try {
    const verifiers = [...policy.logs, ...policy.witnesses].map(({ verifier }) => verifier);
    const { text, signers } = openNote(note, verifiers);
    const checkpoint = { ...parseCheckpoint(text), note };
    const log = policy.logs.find(({ verifier }) => verifier.name === checkpoint.origin && signers.has(verifier));
    if (!log) {
      return refuse('ledger.checkpoint', 'ledger.log_unknown', 'a checkpoint signed by a log of the policy', note);
    }
    const keys = new Set([...signers].map(({ vkey }) => vkey));
    const cosigners = policy.witnesses.filter(({ verifier }) => keys.has(verifier.vkey)).map(({ name }) => name);
    const signed = passed('ledger.checkpoint', `size ${checkpoint.size}, signed by ${log.verifier.name}`);
    const cosigned = cosigners.length === 0 ? 'no witness' : cosigners.join(', ');
    const quorum = quorumReached(policy, keys)
      ? passed('ledger.quorum', policy.quorum === undefined ? 'the policy asks for no witness' : cosigned)
      : failed('ledger.quorum', {
          code: 'ledger.not_witnessed',
          expected: `cosignatures that satisfy ${policy.quorum}`,
          found: cosigned,
          fix: 'Fetch the checkpoint again a moment later; if it stays so, ask the operator which witness is missing.',
        });
    return { checkpoint, verdict: verdictOf([signed, quorum]) };
  } catch (error) {
    if (!Problem.is(error)) throw error;
    return refuse('ledger.checkpoint', error.code, 'a checkpoint signed by a log of the policy', error.message);
  }
}

function refuse(name: string, code: string, expected: string, found: string) {
  const fix = 'Check that the policy is the one you pinned; if it is, keep the note as evidence.';
  return {
    checkpoint: undefined,
    verdict: verdictOf([failed(name, { code, expected, found: found.slice(0, 200), fix })]),
  };
}

/** The policy of one log and `k` of some witnesses, as text. */
export function renderPolicy({
  log,
  witnesses,
  k,
}: {
  log: { vkey: string; url?: string };
  witnesses: readonly { name: string; vkey: string; url?: string }[];
  k: number | 'any' | 'all';
}): string {
  const lines = [`log ${log.vkey}${log.url ? ` ${log.url}` : ''}`];
  for (const { name, vkey, url } of witnesses) lines.push(`witness ${name} ${vkey}${url ? ` ${url}` : ''}`);
  if (witnesses.length === 0) lines.push('quorum none');
  else lines.push(`group peers ${k} ${witnesses.map(({ name }) => name).join(' ')}`, 'quorum peers');
  return `${lines.join('\n')}\n`;
}

function invalid(line: number, reason: string): Problem {
  return new Problem({
    code: 'ledger.policy_invalid',
    kind: 'invalid',
    message: line === 0 ? `The witness policy ${reason}.` : `Line ${line} of the witness policy ${reason}.`,
    hint: 'Compare it with docs/ledger.md: log, witness and group lines, then one quorum line.',
  });
}

/** A policy as text again; comments are gone. */
export function renderPolicyText({ logs, witnesses, groups, quorum }: Policy): string {
  return [
    ...logs.map(({ verifier, url }) => `log ${verifier.vkey}${url ? ` ${url}` : ''}`),
    ...witnesses.map(({ name, verifier, url }) => `witness ${name} ${verifier.vkey}${url ? ` ${url}` : ''}`),
    ...groups.map(({ name, k, members }) => `group ${name} ${k} ${members.join(' ')}`),
    `quorum ${quorum ?? 'none'}\n`,
  ].join('\n');
}
