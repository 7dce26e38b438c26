import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { digestOf } from '#base';
import { type ContentExpectation, createVerifyingStream } from './content.ts';

const bytes = Buffer.from('the bytes of a program');

async function receive(chunks: readonly Buffer[], expectation: ContentExpectation): Promise<Buffer> {
  const seen: Buffer[] = [];
  for await (const chunk of Readable.from(chunks).pipe(createVerifyingStream(expectation))) seen.push(chunk as Buffer);
  return Buffer.concat(seen);
}

test('content with the expected digest and size passes unchanged', async () => {
  const expectation = { digest: digestOf(bytes), size: bytes.length, maxBytes: 1000 };
  assert.deepEqual(await receive([bytes.subarray(0, 5), bytes.subarray(5)], expectation), bytes);
});

test('one flipped byte fails the stream, and its reader never has the complete content', async () => {
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Buffer.from(bytes);
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    let size = 0;
    const stream = Readable.from([flipped.subarray(0, 5), flipped.subarray(5)]).pipe(
      createVerifyingStream({ digest: digestOf(bytes), maxBytes: 1000 }),
    );
    await assert.rejects(
      async () => {
        for await (const chunk of stream) size += (chunk as Buffer).length;
      },
      { code: 'client.content_damaged' },
    );
    assert.ok(size < bytes.length);
  }
});

test('content that is cut short fails', async () => {
  await assert.rejects(receive([bytes.subarray(0, 9)], { size: bytes.length, maxBytes: 1000 }), {
    code: 'client.content_damaged',
  });
});

test('content beyond the limit fails', async () => {
  await assert.rejects(receive([bytes, bytes], { maxBytes: 30 }), { code: 'client.content_too_large' });
});
