import { strict as assert } from 'node:assert';

const markup = Symbol('markup');

/** Markup that this module made. No JSON value can pretend to be it: its only property is a symbol of this file. */
export interface SafeHtml {
  readonly [markup]: string;
}

export type HtmlValue = SafeHtml | string | number | null | undefined | false | readonly HtmlValue[];

/**
 * The only way to make markup. Whatever is put in is text, escaped for content and for quoted attributes, unless it is
 * `SafeHtml` itself. Values may not stand in unquoted attributes, tags, scripts or styles: that is a mistake of ours.
 */
export function html(literals: TemplateStringsArray, ...values: readonly HtmlValue[]): SafeHtml {
  let text = literals[0] ?? '';
  values.forEach((value, at) => {
    text += render(value) + (literals[at + 1] ?? '');
  });
  checkPlaces(literals);
  return { [markup]: text };
}

export const nothing: SafeHtml = { [markup]: '' };

/** For the answer to the browser, and nothing else. */
export function toText(safe: SafeHtml): string {
  return safe[markup];
}

export function join(parts: readonly HtmlValue[], separator: HtmlValue): SafeHtml {
  return { [markup]: parts.map(render).join(render(separator)) };
}

function render(value: HtmlValue): string {
  if (value === null || value === undefined || value === false) return '';
  if (typeof value === 'string') return escape(value);
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return (value as readonly HtmlValue[]).map(render).join('');
  const safe = (value as SafeHtml)[markup];
  assert(typeof safe === 'string', 'html: only text, numbers, lists and markup can be shown');
  return safe;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

function escape(text: string): string {
  // A NUL is no character of HTML; text that reorders what is around it is kept inside by `dir="auto"` where it matters.
  return text.replace(/[&<>"'`]/g, (char) => ENTITIES[char] ?? '').replaceAll('\0', '\ufffd');
}

const checked = new WeakSet<TemplateStringsArray>();

function checkPlaces(literals: TemplateStringsArray): void {
  if (checked.has(literals)) return;
  let before = '';
  for (const literal of literals.slice(0, -1)) {
    before += literal;
    const tag = before.slice(before.lastIndexOf('<'));
    const insideTag = before.lastIndexOf('<') > before.lastIndexOf('>');
    const quotes = tag.split('"').length - 1;
    assert(!insideTag || quotes % 2 === 1, `html: a value may stand in a tag only inside double quotes: ${tag}`);
    assert(!/<(script|style)\b[^>]*>[^<]*$/i.test(before), 'html: no value may stand in a script or style');
  }
  checked.add(literals);
}

/** A path of this site: every value is one segment, so that none of them can lead elsewhere. */
export function path(literals: TemplateStringsArray, ...segments: readonly (string | number)[]): string {
  return literals.reduce((text, literal, at) => text + encodeSegment(segments[at - 1] ?? '') + literal);
}

/** Colon and at sign mean nothing in the middle of a path, and digests and names read better with them. */
function encodeSegment(segment: string | number): string {
  return encodeURIComponent(segment).replaceAll('%3A', ':').replaceAll('%40', '@');
}
