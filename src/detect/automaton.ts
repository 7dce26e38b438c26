/**
 * An Aho–Corasick automaton over bytes, compiled to a dense table.
 *
 * ASCII letters are folded, bytes that occur in no keyword share one class, and state numbers are multiplied by
 * the number of classes beforehand, so that the scanning loop is one load, one addition and one comparison a
 * byte. States in which a keyword ends have the highest numbers: that comparison is the only test per byte.
 */

export interface Automaton {
  readonly classes: Uint8Array;
  readonly table: Uint16Array;
  /** The first (premultiplied) state in which at least one keyword ends. */
  readonly accepting: number;
  /** For `(state - accepting) / width`: the keywords that end there, as indexes into the given list. */
  readonly outputs: readonly (readonly number[])[];
  readonly width: number;
}

interface Node {
  readonly next: Map<number, number>;
  fail: number;
  ends: number[];
}

export function compileAutomaton(keywords: readonly string[]): Automaton {
  const folded = keywords.map((keyword) => Buffer.from(keyword.toLowerCase(), 'latin1'));
  if (folded.some((keyword) => keyword.length === 0)) throw new Error('an empty keyword matches everywhere');
  const classes = byteClasses(folded);
  const width = Math.max(...classes) + 1;
  const nodes = buildTrie(folded, classes);
  const order = linkFailures(nodes);
  return { classes, width, ...flatten(nodes, order, width) };
}

/** Class 0 is every byte that no keyword contains. */
function byteClasses(keywords: readonly Buffer[]): Uint8Array {
  const classes = new Uint8Array(256);
  let next = 1;
  for (const keyword of keywords) {
    for (const byte of keyword) {
      if (classes[byte] === 0) classes[byte] = next++;
    }
  }
  for (let upper = 0x41; upper <= 0x5a; upper++) classes[upper] = classes[upper + 0x20] ?? 0;
  return classes;
}

function buildTrie(keywords: readonly Buffer[], classes: Uint8Array): Node[] {
  const nodes: Node[] = [{ next: new Map(), fail: 0, ends: [] }];
  keywords.forEach((keyword, index) => {
    let at = 0;
    for (const byte of keyword) {
      const symbol = classes[byte] ?? 0;
      let to = nodes[at]?.next.get(symbol);
      if (to === undefined) {
        to = nodes.length;
        nodes.push({ next: new Map(), fail: 0, ends: [] });
        nodes[at]?.next.set(symbol, to);
      }
      at = to;
    }
    nodes[at]?.ends.push(index);
  });
  return nodes;
}

/** Sets each node's failure link and inherits its outputs; returns the nodes in breadth-first order. */
function linkFailures(nodes: Node[]): number[] {
  const order = [0];
  for (let head = 0; head < order.length; head++) {
    const at = order[head] ?? 0;
    for (const [symbol, to] of nodeAt(nodes, at).next) {
      order.push(to);
      if (at === 0) continue;
      let fail = nodeAt(nodes, at).fail;
      while (fail !== 0 && !nodeAt(nodes, fail).next.has(symbol)) fail = nodeAt(nodes, fail).fail;
      const target = nodeAt(nodes, fail).next.get(symbol) ?? 0;
      const node = nodeAt(nodes, to);
      node.fail = target;
      node.ends = [...node.ends, ...nodeAt(nodes, target).ends];
    }
  }
  return order;
}

function flatten(nodes: Node[], order: readonly number[], width: number): Omit<Automaton, 'classes' | 'width'> {
  const silent = order.filter((id) => nodeAt(nodes, id).ends.length === 0);
  const ending = order.filter((id) => nodeAt(nodes, id).ends.length > 0);
  const size = nodes.length * width;
  if (size > 0xffff) throw new Error(`the automaton needs ${size} cells; a 16-bit table holds 65535`);
  const number = new Map([...silent, ...ending].map((id, index) => [id, index * width]));
  const table = new Uint16Array(size);
  for (const id of order) {
    const row = number.get(id) ?? 0;
    const fallback = number.get(nodeAt(nodes, id).fail) ?? 0;
    for (let symbol = 0; symbol < width; symbol++) {
      const to = nodeAt(nodes, id).next.get(symbol);
      // Breadth-first order guarantees that the row of the failure state is complete.
      table[row + symbol] = to === undefined ? (id === 0 ? 0 : (table[fallback + symbol] ?? 0)) : (number.get(to) ?? 0);
    }
  }
  return { table, accepting: silent.length * width, outputs: ending.map((id) => nodeAt(nodes, id).ends) };
}

function nodeAt(nodes: readonly Node[], id: number): Node {
  const node = nodes[id];
  if (node === undefined) throw new Error(`no node ${id}`);
  return node;
}

/**
 * Calls `onHit(keyword, end)` for every occurrence of every keyword, `end` being the offset just behind it.
 * `onHit` answers false to stop.
 */
export function searchBytes(
  automaton: Automaton,
  bytes: Uint8Array,
  onHit: (keyword: number, end: number) => boolean,
): void {
  const { classes, table, accepting, outputs, width } = automaton;
  let state = 0;
  for (let at = 0; at < bytes.length; at++) {
    state = table[state + (classes[bytes[at] as number] as number)] as number;
    if (state < accepting) continue;
    for (const keyword of outputs[(state - accepting) / width] ?? []) {
      if (!onHit(keyword, at + 1)) return;
    }
  }
}
