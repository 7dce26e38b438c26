/** The scan: automaton → anchored pattern → judgement, in every layer of encoding up to a bounded depth. */
import { createHmac } from 'node:crypto';
import { type Automaton, compileAutomaton, searchBytes } from './automaton.ts';
import { unpack } from './decode.ts';
import { isPlaceholder } from './judge.ts';
import type { Confidence, Rule } from './rule.ts';
import { builtInRules } from './rules.ts';

export interface Finding {
  readonly rule: string;
  readonly title: string;
  readonly confidence: Confidence;
  /** Of the scanned bytes, from 1; for what was encoded, the line where the encoded text starts. */
  readonly line: number;
  /** First characters and length. The value itself never leaves the scan. */
  readonly masked: string;
  /** How it was written, outermost first; empty for plain text. */
  readonly encodings: readonly string[];
  /** HMAC-SHA-256 of the value under the detector's key, if it has one: recognises a value without holding it. */
  readonly fingerprint?: string;
}

export interface ScanResult {
  readonly findings: readonly Finding[];
  /** Set if not everything was looked at. A caller that decides on the result must then refuse. */
  readonly incomplete?: string;
}

export interface Detector {
  /** `deadline` is compared with `now()`; both in milliseconds of the same clock. */
  scan(bytes: Buffer, options?: { deadline?: number; now?: () => number }): ScanResult;
}

const DEPTH_MAX = 3;
const UNPACKED_BYTES_MAX = 64 * 1024 * 1024;
/** Enough to act on; the scan goes on for stronger findings only. */
const POSSIBLE_MAX = 20;
const BLOCKING_MAX = 20;
const HITS_BETWEEN_CLOCK_LOOKS = 512;

interface Anchor {
  readonly rule: Rule;
  readonly before: readonly number[];
}

interface Scan {
  readonly automaton: Automaton;
  readonly anchors: readonly (readonly Anchor[])[];
  readonly keywordLengths: readonly number[];
  readonly fingerprint: (value: string) => string | undefined;
  readonly seen: Set<string>;
  readonly findings: Finding[];
  readonly isLate: () => boolean;
  incomplete: string | undefined;
}

interface Layer {
  readonly bytes: Buffer;
  readonly text: () => string;
  readonly encodings: readonly string[];
  readonly lineAt: (offset: number) => number;
}

interface Match {
  readonly rule: Rule;
  readonly start: number;
  readonly end: number;
  readonly value: string;
  readonly confidence: Confidence;
}

export function createDetector(options: { rules?: readonly Rule[]; fingerprintKey?: Uint8Array } = {}): Detector {
  const rules = options.rules ?? builtInRules;
  const keywords = [...new Set(rules.flatMap((rule) => rule.keywords))];
  const automaton = compileAutomaton(keywords);
  const anchors = keywords.map((keyword) =>
    rules.filter((rule) => rule.keywords.includes(keyword)).map((rule) => ({ rule, before: rule.before ?? [0] })),
  );
  const keywordLengths = keywords.map((keyword) => keyword.length);
  const key = options.fingerprintKey;
  const fingerprint = (value: string) =>
    key === undefined ? undefined : createHmac('sha256', key).update(value).digest('hex');

  return {
    scan(bytes, { deadline, now = Date.now } = {}) {
      const isLate = () => deadline !== undefined && now() > deadline;
      const scan: Scan = {
        automaton,
        anchors,
        keywordLengths,
        fingerprint,
        isLate,
        seen: new Set(),
        findings: [],
        incomplete: undefined,
      };
      scanLayer(scan, layerOf(bytes, [], undefined), 0);
      return { findings: scan.findings, ...(scan.incomplete === undefined ? {} : { incomplete: scan.incomplete }) };
    },
  };
}

function layerOf(bytes: Buffer, encodings: readonly string[], line: (() => number) | undefined): Layer {
  let text: string | undefined;
  return {
    bytes,
    encodings,
    text: () => (text ??= bytes.toString('latin1')),
    lineAt: (offset) => (line === undefined ? countLines(bytes, offset) : line()),
  };
}

function scanLayer(scan: Scan, layer: Layer, depth: number): void {
  if (scan.isLate()) scan.incomplete ??= 'the time for the scan ran out';
  if (isFinished(scan)) return;
  for (const match of strongest(matchesIn(scan, layer))) report(scan, layer, match);
  if (depth === DEPTH_MAX || isFinished(scan)) return;
  const { hidden, incomplete } = unpack(layer.bytes, layer.text, UNPACKED_BYTES_MAX);
  scan.incomplete ??= incomplete;
  for (const { encoding, bytes, start } of hidden) {
    // Lines are counted only for findings: there may be a hundred thousand encoded runs, and counting is linear.
    const line = start === undefined ? undefined : () => layer.lineAt(start);
    scanLayer(scan, layerOf(bytes, [...layer.encodings, encoding], line), depth + 1);
  }
}

const isFinished = (scan: Scan) =>
  scan.incomplete !== undefined || countOf(scan, (finding) => finding.confidence !== 'possible') >= BLOCKING_MAX;
const countOf = (scan: Scan, test: (finding: Finding) => boolean) => scan.findings.filter(test).length;

function matchesIn(scan: Scan, layer: Layer): Match[] {
  const matches: Match[] = [];
  const searchedUpTo = new Map<Rule, number>();
  let hits = 0;
  searchBytes(scan.automaton, layer.bytes, (keyword, end) => {
    if (++hits % HITS_BETWEEN_CLOCK_LOOKS === 0 && scan.isLate()) {
      scan.incomplete ??= 'the time for the scan ran out';
      return false;
    }
    const start = end - (scan.keywordLengths[keyword] ?? 0);
    for (const { rule, before } of scan.anchors[keyword] ?? []) {
      for (const offset of before) {
        const from = start - offset;
        if (from < (searchedUpTo.get(rule) ?? 0)) continue;
        const match = tryRule(rule, layer, from);
        if (match === undefined) continue;
        searchedUpTo.set(rule, match.end);
        if (match.confidence !== undefined) matches.push({ ...match, confidence: match.confidence });
        break;
      }
    }
    return true;
  });
  return matches;
}

function tryRule(
  rule: Rule,
  layer: Layer,
  from: number,
): (Omit<Match, 'confidence'> & { confidence: Confidence | undefined }) | undefined {
  if (from < 0 || (rule.bounded === true && isWordByte(layer.bytes[from - 1]))) return undefined;
  rule.pattern.lastIndex = from;
  const found = rule.pattern.exec(layer.text());
  if (found === null) return undefined;
  const end = from + found[0].length;
  if (rule.bounded === true && isWordByte(layer.bytes[end])) return undefined;
  const value = found[1] ?? found[0];
  const confidence =
    rule.generic === true && isPlaceholder(value) ? undefined : rule.judge === undefined ? 'likely' : rule.judge(value);
  return { rule, start: from, end, value, confidence };
}

function isWordByte(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return (
    (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f || (byte >= 0x61 && byte <= 0x7a)
  );
}

/** A vendor's rule knows better than a generic one that matched the same place. */
function strongest(matches: readonly Match[]): Match[] {
  const specific = matches.filter((match) => match.rule.generic !== true);
  return matches.filter(
    (match) =>
      match.rule.generic !== true || !specific.some((other) => other.start < match.end && match.start < other.end),
  );
}

function report(scan: Scan, layer: Layer, match: Match): void {
  const key = `${match.rule.id}\0${match.value}`;
  if (scan.seen.has(key)) return;
  scan.seen.add(key);
  if (match.confidence === 'possible' && countOf(scan, (finding) => finding.confidence === 'possible') >= POSSIBLE_MAX)
    return;
  const fingerprint = scan.fingerprint(match.value);
  scan.findings.push({
    rule: match.rule.id,
    title: match.rule.title,
    confidence: match.confidence,
    line: layer.lineAt(match.start),
    masked: mask(match.value),
    encodings: layer.encodings,
    ...(fingerprint === undefined ? {} : { fingerprint }),
  });
}

/** At most the first four characters, and never more than a quarter of the value. */
function mask(value: string): string {
  const shown = value.startsWith('-----BEGIN') ? 'PEM ' : value.slice(0, Math.min(4, Math.floor(value.length / 4)));
  return `${shown.replace(/[^\x20-\x7e]/g, '?')}… (${value.length} characters)`;
}

function countLines(bytes: Buffer, end: number): number {
  let line = 1;
  for (let at = bytes.indexOf(0x0a); at !== -1 && at < end; at = bytes.indexOf(0x0a, at + 1)) line++;
  return line;
}
