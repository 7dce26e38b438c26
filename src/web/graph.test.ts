import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Box, clip, layoutSpine, renderSpine, type SpineStep } from './graph.ts';
import { toText } from './html.ts';
import type { State } from './parts.ts';

const states: readonly State[] = ['yes', 'no', 'unknown', 'active', 'waiting'];

const chain = fc
  .array(
    fc.record({
      title: fc.string(),
      detail: fc.string({ maxLength: 200 }),
      state: fc.constantFrom(...states),
      inputs: fc.nat(5),
      outputs: fc.nat(5),
    }),
    { maxLength: 12 },
  )
  .map((rows) =>
    rows.map(({ inputs, outputs, ...node }, at): SpineStep => {
      const sides = (side: string, count: number) =>
        Array.from({ length: count }, (_, n) => ({ ...node, id: `${at}-${side}-${n}` }));
      return { ...node, id: `${at}`, inputs: sides('in', inputs), outputs: sides('out', outputs) };
    }),
  );

const overlaps = (a: Box, b: Box): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

test('no box touches another, and all lie inside the picture', () => {
  fc.assert(
    fc.property(chain, (steps) => {
      const { boxes, width, height } = layoutSpine(steps);
      assert.equal(
        boxes.length,
        steps.reduce((sum, step) => sum + 1 + step.inputs.length + step.outputs.length, 0),
      );
      boxes.forEach((box, at) => {
        assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height);
        for (const other of boxes.slice(at + 1)) assert.ok(!overlaps(box, other));
      });
    }),
  );
});

test('the spine runs downwards in order, inputs come from the left, outputs go to the right', () => {
  fc.assert(
    fc.property(chain, (steps) => {
      const { boxes, lines } = layoutSpine(steps);
      const byId = new Map(boxes.map((box) => [box.node.id, box]));
      const spine = steps.map((step) => byId.get(step.id) as Box);
      spine.slice(1).forEach((box, at) => assert.ok(box.y > (spine[at]?.y ?? 0)));
      assert.equal(lines.length, Math.max(0, boxes.length - 1));
      for (const { from, to } of lines) {
        const [start, end] = [byId.get(from) as Box, byId.get(to) as Box];
        if (start.side === 'spine' && end.side === 'spine') assert.ok(start.y + start.height < end.y);
        else assert.ok(start.x + start.width < end.x);
      }
    }),
  );
});

test('no line runs through a box that it does not belong to', () => {
  fc.assert(
    fc.property(chain, (steps) => {
      const { boxes, lines } = layoutSpine(steps);
      for (const line of lines) {
        const others = boxes.filter((box) => box.node.id !== line.from && box.node.id !== line.to);
        line.points.slice(1).forEach(([x2, y2], at) => {
          const [x1, y1] = line.points[at] ?? [0, 0];
          const stretch = {
            x: Math.min(x1, x2),
            y: Math.min(y1, y2),
            width: Math.abs(x2 - x1),
            height: Math.abs(y2 - y1),
          };
          for (const box of others) assert.ok(!overlaps({ ...box, ...stretch }, box));
        });
      }
    }),
  );
});

test('text in the picture is clipped in the middle and stays text', () => {
  assert.equal(clip('sha256:0123456789abcdef', 12), 'sha256:0…def');
  const node = { id: 'a', title: '<script>', detail: 'x'.repeat(100), state: 'no' as const };
  const svg = toText(renderSpine([{ ...node, inputs: [], outputs: [] }], 'Chain'));
  assert.match(svg, /✗ &lt;script&gt;/);
  assert.doesNotMatch(svg, /x{40}/);
});
