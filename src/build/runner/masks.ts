/** Hides registered values in a log line, in the spellings in which programs usually print them. */

const MASK = '***';
const VALUE_CHARS_MIN = 4;
const MASKS_MAX = 500;

export interface Masks {
  add(value: string): void;
  apply(line: string): string;
}

export function createMasks(): Masks {
  const spellings = new Set<string>();
  return {
    add(value) {
      for (const line of value.split(/\r?\n/)) {
        if (line.trim().length < VALUE_CHARS_MIN || spellings.size > MASKS_MAX * 8) continue;
        for (const spelling of spellingsOf(line)) if (spelling.length >= VALUE_CHARS_MIN) spellings.add(spelling);
      }
    },
    apply(line) {
      let masked = line;
      // Longest first: a short spelling must not cut a longer one in two.
      for (const spelling of [...spellings].toSorted((a, b) => b.length - a.length))
        masked = masked.replaceAll(spelling, MASK);
      return masked;
    },
  };
}

function spellingsOf(value: string): string[] {
  const bytes = Buffer.from(value);
  const base64 = [0, 1, 2].flatMap((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // Characters that mix with neighbouring bytes differ from case to case; the rest is always there.
    const stable = encoded.slice(shift === 0 ? 0 : shift + 1, (bytes.length + shift) % 3 === 0 ? undefined : -1);
    return [stable, stable.replaceAll('+', '-').replaceAll('/', '_')];
  });
  return [
    value,
    ...base64,
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
  ];
}
