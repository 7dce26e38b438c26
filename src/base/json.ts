import canonicalize from 'canonicalize';
import { Problem } from './problem.ts';

/** RFC 8785 (JCS): one value, one spelling. */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('canonicalJson: the value has no JSON form');
  return text;
}

/** Untrusted text → JSON value, with a limit on its size; `Problem base.json_invalid` otherwise. */
export function parseJson(text: string, maxChars: number): unknown {
  if (text.length > maxChars) {
    throw new Problem({
      code: 'base.json_too_large',
      kind: 'limited',
      message: `This JSON document is larger than ${maxChars} characters.`,
      hint: 'Send a smaller document.',
    });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Problem({
      code: 'base.json_invalid',
      kind: 'invalid',
      message: 'This is not valid JSON.',
      hint: 'Send one JSON document in UTF-8.',
      cause,
    });
  }
}
