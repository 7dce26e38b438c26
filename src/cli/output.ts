import { stripVTControlCharacters } from 'node:util';
import type { Check } from '#base';
import { printable } from './printable.ts';
import { paint, type Terminal } from './terminal.ts';

const GAP = '  ';
const CELL_MAX_CHARS = 80;

export interface Column<T> {
  title: string;
  cell: (item: T) => string | number | null | undefined;
}

/** Aligned columns with a title row; `empty` says what to do next when there is nothing to show. */
export function renderTable<T>(
  terminal: Terminal,
  items: readonly T[],
  columns: readonly Column<T>[],
  empty: string,
): string {
  if (items.length === 0) return empty;
  const rows = items.map((item) => columns.map((column) => cellText(column.cell(item))));
  const widths = columns.map((column, at) =>
    Math.max(widthOf(column.title), ...rows.map((row) => widthOf(row[at] ?? ''))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => (at === cells.length - 1 ? cell : cell + ' '.repeat((widths[at] ?? 0) - widthOf(cell))))
      .join(GAP)
      .trimEnd();
  const title = line(columns.map((column) => column.title));
  return [paint(terminal, 'dim', title), ...rows.map(line)].join('\n');
}

/** `name  value` lines for one thing; what is null or undefined is left out. */
export function renderFields(
  terminal: Terminal,
  fields: readonly (readonly [string, string | number | null | undefined])[],
): string {
  const present = fields.filter(([, value]) => value !== undefined && value !== null && value !== '');
  const width = Math.max(0, ...present.map(([name]) => widthOf(name)));
  return present
    .map(([name, value]) => `${paint(terminal, 'dim', name.padEnd(width))}${GAP}${printable(String(value))}`)
    .join('\n');
}

const MARKS = {
  passed: { icon: '✓', word: 'passed', style: 'green' },
  failed: { icon: '✗', word: 'failed', style: 'red' },
  not_checked: { icon: '–', word: 'not checked', style: 'yellow' },
} as const;

/** A check as it comes from this process or out of an answer. */
export type ShownCheck = Pick<Check, 'name' | 'status'> & {
  readonly [note in 'code' | 'expected' | 'found' | 'fix' | 'detail']?: string | undefined;
};

/** Every check with its result as a word; a failure says what was expected, what was found, and what to do. */
export function renderChecks(terminal: Terminal, checks: readonly ShownCheck[], indent = ''): string {
  return checks.flatMap((check) => checkLines(terminal, check).map((line) => indent + line)).join('\n');
}

function checkLines(terminal: Terminal, check: ShownCheck): string[] {
  const mark = MARKS[check.status];
  const head = `${mark.icon} ${mark.word.padEnd(11)} ${printable(check.name)}`;
  const detail = check.detail === undefined ? '' : `: ${printable(check.detail)}`;
  const notes = [
    ['expected', check.expected],
    ['found', check.found],
    ['reason', check.code],
    ['fix', check.fix],
  ] as const;
  const shown = check.status === 'failed' ? notes.filter(([, text]) => text !== undefined) : [];
  return [
    paint(terminal, mark.style, head) + detail,
    ...shown.map(([name, text]) => `    ${name}: ${printable(text ?? '')}`),
  ];
}

/** The answer first, then what it rests on. */
export function renderVerdict(
  terminal: Terminal,
  verdict: { ok: boolean; checks: readonly ShownCheck[] },
  yes: string,
  no: string,
): string {
  const answer = verdict.ok ? paint(terminal, 'green', `✓ ${yes}`) : paint(terminal, 'red', `✗ ${no}`);
  return [answer, renderChecks(terminal, verdict.checks, '  ')].join('\n');
}

/** Keeps the ends of a digest, which is what people compare; the whole one is in `--json`. */
export function shortDigest(digest: string): string {
  return digest.length > 24 ? `${digest.slice(0, 15)}…${digest.slice(-6)}` : digest;
}

export function renderTime(iso: string | null | undefined): string {
  return iso ? iso.replace('T', ' ').replace(/\.\d+Z$/, 'Z') : '';
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function renderSize(bytes: number): string {
  const unit = bytes < 1024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** unit;
  return `${unit === 0 || amount >= 100 ? Math.round(amount) : amount.toFixed(1)} ${UNITS[unit] ?? 'B'}`;
}

/** The one document of `--json`; `fields` keeps only these, of each item where there is a list. */
export function renderJson(document: unknown, fields: readonly string[] = []): string {
  return JSON.stringify(fields.length === 0 ? document : selectFields(document, fields), null, 2);
}

function selectFields(document: unknown, fields: readonly string[]): unknown {
  if (typeof document !== 'object' || document === null) return document;
  const record = document as Readonly<Record<string, unknown>>;
  const items = record['items'];
  if (Array.isArray(items)) return { ...record, items: items.map((item) => selectFields(item, fields)) };
  return Object.fromEntries(fields.map((field) => [field, record[field] ?? null]));
}

function cellText(value: string | number | null | undefined): string {
  const text = value === null || value === undefined || value === '' ? '–' : printable(String(value));
  return text.length > CELL_MAX_CHARS ? `${text.slice(0, CELL_MAX_CHARS - 1)}…` : text;
}

function widthOf(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length;
}
