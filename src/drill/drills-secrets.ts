import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { inHouse, ofPush } from './attempt.ts';
import type { Developer } from './developer.ts';
import type { Attempt, Drill } from './drill.ts';
import { branchOf, fresh, pushHonestly } from './drills-source.ts';

/** Made anew each time, in pieces, so that no secret stands in this repository. Good for nothing. */
function makeSecret(): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const tail = [...randomBytes(16)].map((byte) => letters[byte % 32]).join('');
  return ['AK', 'IA', tail].join('');
}

interface Hiding {
  id: string;
  title: string;
  /** Puts the secret somewhere into what will be pushed. */
  hide: (who: Developer, secret: string) => Promise<unknown>;
  /** What is pushed; the branch unless said. */
  refspecs?: readonly string[];
}

const hidings: readonly Hiding[] = [
  {
    id: 'secret-in-file',
    title: 'A cloud key in a file',
    hide: (who, secret) => who.commit({ files: { 'config.txt': `key = ${secret}\n` } }),
  },
  {
    id: 'secret-removed-again',
    title: 'A cloud key in one commit, taken out in the next',
    async hide(who, secret) {
      await who.commit({ files: { 'config.txt': `key = ${secret}\n` } });
      await who.commit({ files: { 'config.txt': 'key = \n' } });
    },
  },
  {
    id: 'secret-in-merge',
    title: 'A cloud key that only the merge commit brings',
    async hide(who, secret) {
      await who.git('checkout', '-q', '-B', 'side');
      await who.commit({ files: { 'side.txt': 'side' } });
      await who.git('checkout', '-q', '-B', 'line', 'origin/main');
      await who.commit({ files: { 'line.txt': 'line' } });
      await who.git('merge', '-q', '--no-ff', '--no-commit', 'side');
      await writeFile(join(who.clone, 'config.txt'), `key = ${secret}\n`);
      await who.git('add', '--all');
      await who.git('commit', '-q', '-S', '-m', 'Merge side');
    },
  },
  {
    id: 'secret-in-message',
    title: 'A cloud key in a commit message',
    hide: (who, secret) => who.commit({ files: { 'a.txt': 'a' }, message: `Rotate ${secret}` }),
  },
  {
    id: 'secret-in-tag',
    title: 'A cloud key in the message of a tag',
    async hide(who, secret) {
      await who.git('tag', '-s', '-f', '-m', `Release with ${secret}`, 'drill-secret');
    },
    refspecs: ['--force', 'refs/tags/drill-secret'],
  },
  {
    id: 'secret-in-binary',
    title: 'A cloud key inside a binary file',
    hide: (who, secret) =>
      who.commit({
        files: { 'image.bin': Buffer.concat([Buffer.alloc(512), Buffer.from(`\0${secret}\0`), Buffer.alloc(512, 7)]) },
      }),
  },
  {
    id: 'secret-in-base64',
    title: 'A cloud key written in base64',
    hide: (who, secret) =>
      who.commit({
        files: { 'blob.txt': `data: ${Buffer.from(`aws_access_key_id=${secret} and more`).toString('base64')}\n` },
      }),
  },
  {
    id: 'secret-in-gzip',
    title: 'A cloud key in a compressed file',
    hide: (who, secret) => who.commit({ files: { 'dump.gz': gzipSync(`aws_access_key_id=${secret}\n`) } }),
  },
  {
    id: 'secret-in-file-name',
    title: 'A cloud key as a file name',
    hide: (who, secret) => who.commit({ files: { [`notes/${secret}.txt`]: 'nothing in it' } }),
  },
];

async function pushHidden(who: Developer, { id, hide, refspecs }: Hiding): Promise<Attempt> {
  await fresh(who);
  await hide(who, makeSecret());
  const attempt = ofPush(await who.push(...(refspecs ?? [branchOf(id)])));
  // The tag stays in the clone; another drill would push it along.
  await who.git('tag', '-d', 'drill-secret');
  return attempt;
}

export const secretDrills: readonly Drill[] = hidings.map((hiding) =>
  inHouse({
    id: hiding.id,
    title: hiding.title,
    threats: ['B11', 'SEC-6', '204D:COMMIT-REQ-1'],
    control: 'no secret in any new object',
    refusal: /^source\.secret_found$/,
    controlOff: { source: { secrets: false } },
    attack: ({ developer }) => pushHidden(developer, hiding),
    legitimate: (house) => pushHonestly(house, hiding.id),
  }),
);
