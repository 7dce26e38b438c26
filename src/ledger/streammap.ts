import { hash } from 'node:crypto';
import type { Hash } from './hash.ts';

/**
 * A Merkle map from stream to its last fact, and proofs from it that a stream is in it, or is not. Pure and deterministic: the
 * root depends on the content alone, never on the order in which it came.
 *
 * A prefix trie over SHA-256 of the stream's name: a subtree without streams is 32 zero bytes, one with a single stream is that
 * stream's leaf hash whatever its depth, any other is the hash of its two halves. Leaf and node hashes carry bytes of their own
 * (0x10, 0x11), so that neither passes for the other, nor for a hash of the log.
 */

export interface StreamHead {
  /** Number of the stream's last fact. */
  number: number;
  /** How many facts the stream has. */
  seq: number;
}

export interface MapProof {
  /** From the root down. */
  siblings: readonly Hash[];
  /** What stands where the path ends: the stream itself, another one with the same prefix, or nothing. */
  end: (StreamHead & { key: string }) | undefined;
}

export interface StreamMap {
  set(stream: string, head: StreamHead): void;
  get(stream: string): StreamHead | undefined;
  count(): number;
  root(): Hash;
  prove(stream: string): MapProof;
}

interface Leaf extends StreamHead {
  key: Buffer;
}
interface Inner {
  sides: [Node, Node];
  /** Forgotten when something below changes. */
  hash: Hash | undefined;
}
type Node = Leaf | Inner | undefined;

export const emptyMapRoot = '\0'.repeat(32) as Hash;
const KEY_BITS = 256;

export function createStreamMap(): StreamMap {
  let top: Node;
  let count = 0;

  function insert(node: Node, leaf: Leaf, depth: number): Node {
    if (node === undefined) {
      count += 1;
      return leaf;
    }
    if (isInner(node)) {
      const side = bitAt(leaf.key, depth);
      node.sides[side] = insert(node.sides[side], leaf, depth + 1);
      node.hash = undefined;
      return node;
    }
    if (node.key.equals(leaf.key)) return leaf;
    const inner: Inner = { sides: [undefined, undefined], hash: undefined };
    inner.sides[bitAt(node.key, depth)] = node;
    return insert(inner, leaf, depth);
  }

  return {
    set(stream, { number, seq }) {
      top = insert(top, { key: streamKey(stream), number, seq }, 0);
    },
    get(stream) {
      const key = streamKey(stream);
      let node = top;
      for (let depth = 0; node && isInner(node); depth += 1) node = node.sides[bitAt(key, depth)];
      return node?.key.equals(key) ? { number: node.number, seq: node.seq } : undefined;
    },
    count: () => count,
    root: () => hashOf(top),
    prove(stream) {
      const key = streamKey(stream);
      const siblings: Hash[] = [];
      let node = top;
      for (let depth = 0; node && isInner(node); depth += 1) {
        const side = bitAt(key, depth);
        siblings.push(hashOf(node.sides[side === 0 ? 1 : 0]));
        node = node.sides[side];
      }
      const end = node && { key: node.key.toString('hex'), number: node.number, seq: node.seq };
      return { siblings, end };
    },
  };
}

/**
 * What the proof says about the stream under this root: its head, `absent`, or undefined if it proves nothing.
 * A path that ends at another stream proves absence only if that stream lies on the path.
 */
export function verifyMapProof(stream: string, proof: MapProof, root: Hash): StreamHead | 'absent' | undefined {
  const { siblings, end } = proof;
  if (siblings.length > KEY_BITS || siblings.some((sibling) => sibling.length !== 32)) return undefined;
  const key = streamKey(stream);
  if (end && (!/^[0-9a-f]{64}$/.test(end.key) || !isCount(end.number) || !isCount(end.seq))) return undefined;
  const endKey = end && Buffer.from(end.key, 'hex');
  for (let depth = 0; endKey && depth < siblings.length; depth += 1) {
    if (bitAt(endKey, depth) !== bitAt(key, depth)) return undefined;
  }
  let found = endKey && end ? leafHashOf({ ...end, key: endKey }) : emptyMapRoot;
  for (let depth = siblings.length - 1; depth >= 0; depth -= 1) {
    const sibling = siblings[depth] as Hash;
    found = bitAt(key, depth) === 0 ? innerHash(found, sibling) : innerHash(sibling, found);
  }
  if (found !== root) return undefined;
  return end && endKey?.equals(key) ? { number: end.number, seq: end.seq } : 'absent';
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 1;
const isInner = (node: Leaf | Inner): node is Inner => 'sides' in node;

function streamKey(stream: string): Buffer {
  return hash('sha256', `waybill/stream/v1\n${stream}`, 'buffer');
}

function bitAt(key: Buffer, depth: number): 0 | 1 {
  const byte = key[Math.floor(depth / 8)] as number;
  return Math.floor(byte / 2 ** (7 - (depth % 8))) % 2 === 1 ? 1 : 0;
}

function hashOf(node: Node): Hash {
  if (node === undefined) return emptyMapRoot;
  if (!isInner(node)) return leafHashOf(node);
  return (node.hash ??= innerHash(hashOf(node.sides[0]), hashOf(node.sides[1])));
}

function leafHashOf({ key, number, seq }: Leaf): Hash {
  const bytes = Buffer.alloc(1 + 32 + 16, 0x10);
  key.copy(bytes, 1);
  bytes.writeBigUInt64BE(BigInt(number), 33);
  bytes.writeBigUInt64BE(BigInt(seq), 41);
  return hash('sha256', bytes, 'binary') as Hash;
}

function innerHash(left: Hash, right: Hash): Hash {
  const bytes = Buffer.alloc(65, 0x11);
  bytes.write(left, 1, 'latin1');
  bytes.write(right, 33, 'latin1');
  return hash('sha256', bytes, 'binary') as Hash;
}
