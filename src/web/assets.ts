import { readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { hexOf, digestOf } from '#base';

/** The files a browser loads: plain modules and one style sheet, served as they lie in `client/`, no build step. */
const FILES = {
  'style.css': 'text/css; charset=utf-8',
  'relative-time.js': 'text/javascript; charset=utf-8',
  'copy-text.js': 'text/javascript; charset=utf-8',
  'log-stream.js': 'text/javascript; charset=utf-8',
  'sign-in.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

export type AssetName = keyof typeof FILES;

interface Asset {
  path: string;
  type: string;
  body: Buffer;
}

export interface Assets {
  /** Address with the hash of the content: may be kept for ever, and changes when the content does. */
  pathOf(name: AssetName): string;
  register(app: Pick<FastifyInstance, 'get'>): void;
}

const HASH_CHARS = 16;

export function loadAssets(): Assets {
  const assets = new Map<AssetName, Asset>();
  for (const name of Object.keys(FILES) as AssetName[]) {
    const body = readFileSync(new URL(`./client/${name}`, import.meta.url));
    const [stem, extension] = name.split('.');
    const hash = hexOf(digestOf(body)).slice(0, HASH_CHARS);
    assets.set(name, { path: `/assets/${stem ?? ''}.${hash}.${extension ?? ''}`, type: FILES[name], body });
  }
  return {
    pathOf: (name) => assets.get(name)?.path ?? '',
    register(app) {
      for (const asset of assets.values()) {
        app.get(asset.path, async (_request, reply) =>
          reply.type(asset.type).header('cache-control', 'public, max-age=31536000, immutable').send(asset.body),
        );
      }
    },
  };
}
