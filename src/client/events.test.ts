import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createEventParser, type ServerEvent } from './events.ts';

function parseAll(chunks: readonly string[]): ServerEvent[] {
  const parser = createEventParser();
  return chunks.flatMap((chunk) => parser.push(chunk));
}

test('an event has its id, name and all its lines of data', () => {
  assert.deepEqual(parseAll(['id: 7\nevent: line\ndata: a\ndata:  b\n\n']), [
    { id: '7', event: 'line', data: 'a\n b' },
  ]);
});

test('comments and unknown fields are skipped, and an event without data is not one', () => {
  assert.deepEqual(parseAll([': still here\n\nevent: x\n\nfoo: bar\ndata: 1\n\n']), [
    { id: '', event: 'message', data: '1' },
  ]);
});

test('the id is remembered for the events that follow', () => {
  const events = parseAll(['id: 1\ndata: a\n\ndata: b\n\n']);
  assert.deepEqual(
    events.map((event) => event.id),
    ['1', '1'],
  );
});

test('events are the same wherever the stream is cut and whatever ends its lines', () => {
  const text = 'id: 1\ndata: one\n\n: comment\nid: 2\nevent: end\ndata: {"a":1}\ndata: x\n\n';
  const whole = parseAll([text]);
  fc.assert(
    fc.property(fc.constantFrom('\n', '\r\n'), fc.array(fc.nat(text.length * 2), { maxLength: 8 }), (ending, cuts) => {
      const stream = text.replaceAll('\n', ending);
      const at = [0, ...cuts.map((cut) => cut % stream.length).sort((a, b) => a - b), stream.length];
      assert.deepEqual(parseAll(at.slice(1).map((end, i) => stream.slice(at[i], end))), whole);
    }),
  );
});

test('an event without end is refused instead of kept', () => {
  const parser = createEventParser();
  assert.throws(
    () => {
      for (let i = 0; i < 100; i++) parser.push(`data: ${'x'.repeat(100_000)}\n`);
    },
    { code: 'client.event_too_large' },
  );
});
