import { html, nothing, type SafeHtml } from './html.ts';
import type { State } from './parts.ts';

/**
 * The picture of a chain: time runs downwards along a spine, what went into a step stands left of it, where it went stands
 * right. A pure function from steps to boxes and lines; the list of the same steps is its accessible twin.
 */
export interface SpineNode {
  id: string;
  title: string;
  detail: string;
  state: State;
}

export interface SpineStep extends SpineNode {
  inputs: readonly SpineNode[];
  outputs: readonly SpineNode[];
}

export interface Box {
  node: SpineNode;
  side: 'spine' | 'left' | 'right';
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Line {
  from: string;
  to: string;
  state: State;
  /** Alternating x and y. */
  points: readonly (readonly [number, number])[];
}

export interface SpinePicture {
  width: number;
  height: number;
  boxes: readonly Box[];
  lines: readonly Line[];
}

const BOX_WIDTH = 272;
const BOX_HEIGHT = 52;
const GAP_X = 56;
const GAP_Y = 36;
const GAP_STACK = 12;
const MARGIN = 8;

export function layoutSpine(steps: readonly SpineStep[]): SpinePicture {
  const hasLeft = steps.some((step) => step.inputs.length > 0);
  const hasRight = steps.some((step) => step.outputs.length > 0);
  const spineX = MARGIN + (hasLeft ? BOX_WIDTH + GAP_X : 0);
  const boxes: Box[] = [];
  const lines: Line[] = [];
  let top = MARGIN;
  let above: Box | undefined;
  for (const step of steps) {
    const rowHeight = Math.max(stackHeight(1), stackHeight(step.inputs.length), stackHeight(step.outputs.length));
    const box = placeBox(step, 'spine', spineX, top + (rowHeight - BOX_HEIGHT) / 2);
    const left = placeStack(step.inputs, 'left', MARGIN, top, rowHeight);
    const right = placeStack(step.outputs, 'right', spineX + BOX_WIDTH + GAP_X, top, rowHeight);
    boxes.push(box, ...left, ...right);
    if (above) lines.push(downwards(above, box));
    for (const input of left) lines.push(sideways(input, box, input.node.state));
    for (const output of right) lines.push(sideways(box, output, output.node.state));
    above = box;
    top += rowHeight + GAP_Y;
  }
  return {
    width: spineX + BOX_WIDTH + (hasRight ? GAP_X + BOX_WIDTH : 0) + MARGIN,
    height: Math.max(top - GAP_Y, MARGIN) + MARGIN,
    boxes,
    lines,
  };
}

function stackHeight(count: number): number {
  return count === 0 ? 0 : count * BOX_HEIGHT + (count - 1) * GAP_STACK;
}

function placeStack(
  nodes: readonly SpineNode[],
  side: 'left' | 'right',
  x: number,
  top: number,
  rowHeight: number,
): Box[] {
  const first = top + (rowHeight - stackHeight(nodes.length)) / 2;
  return nodes.map((node, at) => placeBox(node, side, x, first + at * (BOX_HEIGHT + GAP_STACK)));
}

function placeBox({ id, title, detail, state }: SpineNode, side: Box['side'], x: number, y: number): Box {
  return { node: { id, title, detail, state }, side, x, y, width: BOX_WIDTH, height: BOX_HEIGHT };
}

/** A link is as good as what it leads to. */
function downwards(from: Box, to: Box): Line {
  const x = from.x + from.width / 2;
  return {
    from: from.node.id,
    to: to.node.id,
    state: to.node.state,
    points: [
      [x, from.y + from.height],
      [x, to.y],
    ],
  };
}

/** Leaves and arrives level; the bend is in the empty lane between the columns. */
function sideways(from: Box, to: Box, state: State): Line {
  const start = [from.x + from.width, from.y + from.height / 2] as const;
  const end = [to.x, to.y + to.height / 2] as const;
  const lane = start[0] + GAP_X / 2;
  return { from: from.node.id, to: to.node.id, state, points: [start, [lane, start[1]], [lane, end[1]], end] };
}

const TITLE_CHARS = 32;
const DETAIL_CHARS = 34;
const ICONS: Readonly<Record<State, string>> = { yes: '✓', no: '✗', unknown: '?', active: '▸', waiting: '…' };

/** `label` names the picture for those who do not see it; the list beside it has everything. */
export function renderSpine(steps: readonly SpineStep[], label: string): SafeHtml {
  if (steps.length === 0) return nothing;
  const { width, height, boxes, lines } = layoutSpine(steps);
  return html`<svg class="spine" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">
    <defs>
      <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
        <path d="M0 0L8 4L0 8"></path>
      </marker>
    </defs>
    ${lines.map(
      (line) =>
        html`<path
          class="edge-${line.state}"
          d="M${line.points.map((point) => point.join(' ')).join('L')}"
          marker-end="url(#tip)"
        ></path>`,
    )}
    ${boxes.map(
      (box) =>
        html`<g class="box-${box.node.state}">
          <rect x="${box.x}" y="${box.y}" width="${box.width}" height="${box.height}" rx="6"></rect>
          <text class="box-title" x="${box.x + 12}" y="${box.y + 22}">
            ${ICONS[box.node.state]} ${clip(box.node.title, TITLE_CHARS)}
          </text>
          <text class="box-detail" x="${box.x + 12}" y="${box.y + 41}">${clip(box.node.detail, DETAIL_CHARS)}</text>
        </g>`,
    )}
  </svg>`;
}

/** Keeps both ends: the beginning says what it is, the end tells it from its neighbours. */
export function clip(text: string, maxChars: number): string {
  const chars = Array.from(text);
  if (chars.length <= maxChars) return text;
  const tail = Math.floor((maxChars - 1) / 3);
  return `${chars.slice(0, maxChars - 1 - tail).join('')}…${chars.slice(-tail).join('')}`;
}
