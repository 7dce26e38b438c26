/** Deterministic ustar archives: sorted by the caller, owner 0:0, one fixed time, no names of users. */

export interface TarEntry {
  readonly path: string;
  readonly mode: number;
  readonly bytes: Buffer | 'directory';
}

const BLOCK = 512;

export function buildTar(entries: readonly TarEntry[], mtimeSeconds: number): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    const bytes = entry.bytes === 'directory' ? Buffer.alloc(0) : entry.bytes;
    parts.push(
      header(entry, bytes.length, mtimeSeconds),
      bytes,
      Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK),
    );
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}

function header({ path, mode, bytes }: TarEntry, size: number, mtimeSeconds: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const { name, prefix } = splitPath(bytes === 'directory' ? `${path}/` : path);
  block.write(name, 0);
  octal(block, 100, 8, mode);
  octal(block, 108, 8, 0);
  octal(block, 116, 8, 0);
  octal(block, 124, 12, size);
  octal(block, 136, 12, mtimeSeconds);
  block.write('        ', 148);
  block.write(bytes === 'directory' ? '5' : '0', 156);
  block.write('ustar\u000000', 257, 'latin1');
  octal(block, 329, 8, 0);
  octal(block, 337, 8, 0);
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function octal(block: Buffer, offset: number, length: number, value: number): void {
  block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1');
}

function splitPath(path: string): { name: string; prefix: string } {
  if (Buffer.byteLength(path) <= 100) return { name: path, prefix: '' };
  const cut = path.lastIndexOf('/', 155);
  const [prefix, name] = [path.slice(0, cut), path.slice(cut + 1)];
  if (cut <= 0 || Buffer.byteLength(name) > 100 || name === '')
    throw new Error(`the path ${path} is too long for an archive`);
  return { name, prefix };
}
