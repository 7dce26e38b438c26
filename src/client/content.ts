import { Transform } from 'node:stream';
import { createDigester, type Digest, Problem } from '#base';

export interface ContentExpectation {
  digest?: Digest | undefined;
  size?: number | undefined;
  maxBytes: number;
}

/**
 * Passes bytes on while it hashes them, but keeps back the last chunk until digest and size are right:
 * a reader that sees the end of this stream has seen exactly the expected bytes, and one that does not
 * never has them complete. Ends with `Problem client.content_damaged` or `client.content_too_large`.
 */
export function createVerifyingStream({ digest, size, maxBytes }: ContentExpectation): Transform {
  const digester = createDigester();
  let held: Buffer | undefined;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      digester.update(chunk);
      if (digester.size > maxBytes) return done(tooLarge(maxBytes));
      const ready = held;
      held = chunk;
      if (ready) this.push(ready);
      done();
    },
    flush(done) {
      const found = digester.digest();
      if (size !== undefined && digester.size !== size) return done(damaged(`${size} bytes`, `${digester.size} bytes`));
      if (digest !== undefined && found !== digest) return done(damaged(digest, found));
      if (held) this.push(held);
      done();
    },
  });
}

function damaged(expected: string, found: string): Problem {
  return new Problem({
    code: 'client.content_damaged',
    kind: 'rejected',
    message: `The content that arrived is not the content that was asked for: expected ${expected}, found ${found}.`,
    hint: 'Do not use it. Fetch it again; if it stays so, run `waybill ledger verify` on the server.',
    details: { expected, found },
  });
}

function tooLarge(maxBytes: number): Problem {
  return new Problem({
    code: 'client.content_too_large',
    kind: 'limited',
    message: `The content is larger than ${maxBytes} bytes.`,
    hint: 'Raise the limit if you expect content of this size.',
  });
}
