import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import type { Run } from './command.ts';

export const showVersion: Run = async () => {
  const version = ownVersion();
  return {
    document: { version, node: process.versions.node, platform: process.platform, arch: process.arch },
    text: `waybill ${version} (Node ${process.versions.node}, ${process.platform} ${process.arch})`,
  };
};

export function ownVersion(): string {
  const file = findPackageJSON(import.meta.url);
  return file === undefined ? 'unknown' : (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
