import { join } from 'node:path';
import { z } from 'zod';
import { parseWith, Problem } from '#base';
import { Cidr } from '#identity';

/** What `server start` may be told. Everything else is decided at first start and kept in the data directory. */
export const ServerOptions = z.strictObject({
  /** Data directory; made with mode 0700 at first start. */
  data: z.string().min(1),
  /** `host:port`; port 0 takes a free one. */
  listen: z.string().max(100).default('127.0.0.1:8443'),
  publicUrl: z.string().max(300).optional(),
  /** Networks whose hosts may connect at all. */
  networks: z.array(Cidr).min(1).max(64).default(['127.0.0.0/8', '::1/128']),
  logLevel: z.enum(['silent', 'error', 'warn', 'info', 'debug']).default('warn'),
});

export type ServerSettings = z.output<typeof ServerOptions>;

export function parseServerOptions(value: unknown): ServerSettings {
  return parseWith(ServerOptions, value, 'server.options_invalid');
}

/** `127.0.0.1:8443` or `[::1]:8443`. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-f:]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new Problem({
      code: 'server.listen_invalid',
      kind: 'invalid',
      message: `'${text}' is not an address to listen on.`,
      hint: 'Write it as 127.0.0.1:8443 or [::1]:8443.',
    });
  }
  return { host: match[1] ?? match[2] ?? '', port };
}

/** Where everything lies below the data directory (docs/ARCHITECTURE.md). */
export function layoutOf(data: string) {
  return {
    database: join(data, 'waybill.db'),
    objects: join(data, 'objects'),
    ledger: join(data, 'ledger'),
    git: join(data, 'git'),
    vault: join(data, 'vault'),
    logs: join(data, 'logs'),
    lock: join(data, 'lock.db'),
    trustedRoot: join(data, 'trusted_root.json'),
    runner: join(data, 'runner'),
  };
}
