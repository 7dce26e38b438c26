/** How sure one can be of a value, from the value alone. */
import type { Confidence } from './rule.ts';

/** Shannon entropy in bits per character. */
export function entropyBits(text: string): number {
  const counts = new Map<string, number>();
  for (const letter of text) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

/** Words that stand in examples instead of a value. */
const placeholder =
  /example|sample|placeholder|dummy|changeme|change_me|change-me|your[-_]?|insert|redacted|xxxx|\*\*\*|\.\.\.|12345678|abcdefgh|todo|fixme|<[^>]{1,40}>|\$\{|\{\{|%s|%\(/i;

export function isPlaceholder(text: string): boolean {
  return placeholder.test(text) || /^(.)\1*$/.test(text) || entropyBits(text) < 1.5;
}

/** A vendor's format whose random part is too regular to be random is documentation, not a secret. */
export function randomLooking(bitsMin: number, prefixChars = 0): (value: string) => Confidence {
  return (value) => {
    const body = value.slice(prefixChars);
    return isPlaceholder(body) || entropyBits(body) < bitsMin ? 'possible' : 'likely';
  };
}

/**
 * A value somebody assigned to a name like `api_key`. Words, paths and identifiers repeat letters, hold few digits
 * or read as camelCase; generated values do not.
 */
export function judgeAssigned(value: string): Confidence | undefined {
  if (isPlaceholder(value)) return undefined;
  const digits = value.replace(/\D/g, '').length;
  const letters = value.replace(/[^A-Za-z]/g, '').length;
  if (digits === 0 || letters === 0) return undefined;
  if (/^(?:sha(?:1|256|384|512)[-:]|https?:|file:|\.{0,2}\/)/i.test(value)) return undefined;
  if (isWords(value)) return undefined;
  const bits = entropyBits(value);
  const hex = /^[0-9a-f]+$/i.test(value);
  if (value.length >= 20 && digits >= 3 && bits >= (hex ? 3 : 3.7)) return 'likely';
  return bits >= 3 ? 'possible' : undefined;
}

/** Identifiers and sentences: parts of letters only, at most one of them with digits at its end. */
function isWords(value: string): boolean {
  const parts = value.split(/[-_./: ]+|(?<=[a-z])(?=[A-Z])/).filter((part) => part !== '');
  return parts.length > 1 && parts.filter((part) => !/^[A-Za-z]{2,}\d{0,2}$|^\d{1,4}$/.test(part)).length === 0;
}

/** Characters of a password somebody chose or generated, in a place where only a password can stand. */
export function judgePassword(value: string): Confidence | undefined {
  if (
    isPlaceholder(value) ||
    /^(?:password|passwd|secret|pass|user|test|root|admin|postgres|guest)\d{0,3}$/i.test(value)
  )
    return undefined;
  return value.length >= 10 && /\d/.test(value) && entropyBits(value) >= 3 ? 'likely' : 'possible';
}
