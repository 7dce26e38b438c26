import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem, type Verdict } from '#base';
import { consoleActor, consoleCaller } from '#identity';
import { rebuildAndCompare } from '#journal';
import { modules, parseServerOptions, startServer } from '#server';
import { type Db, openDatabase } from '#storage';
import type { Invocation, Run } from './command.ts';
import { renderVerdict } from './output.ts';
import { startProgress } from './progress.ts';
import { dataDirectory } from './server.ts';

/** A server at work may record facts while we compare; then the comparison is made again. */
const ATTEMPTS_MAX = 5;

/** Every table rebuilt from the facts, beside the live one and in memory; nothing is written. */
export const verifyRebuild: Run = async (invocation) => {
  const data = dataDirectory(invocation);
  const path = join(data, 'waybill.db');
  await requireFile(path);
  const progress = startProgress(invocation.terminal, 'Rebuilding every table from the facts');
  const db = await openDatabase({ path });
  try {
    const verdict = await compareAtRest(db, (done, total) => progress.update(`${done} of ${total} facts`));
    const yes = `All tables are what their ${verdict.facts} facts give.`;
    return {
      document: { data, ...verdict },
      text: renderVerdict(invocation.terminal, verdict, yes, 'The tables are not what the facts give.'),
      exit: verdict.ok ? 'yes' : 'no',
    };
  } finally {
    progress.stop();
    await db.close();
  }
};

async function compareAtRest(
  db: Db,
  onProgress: (done: number, total: number) => void,
): Promise<Verdict & { facts: number }> {
  for (let attempt = 1; ; attempt++) {
    const verdict = await rebuildAndCompare({ db, modules, onProgress });
    if (verdict.ok || attempt >= ATTEMPTS_MAX) return verdict;
    const again = await rebuildAndCompare({ db, modules, onProgress });
    if (again.facts === verdict.facts) return again;
  }
}

async function requireFile(path: string): Promise<void> {
  if (await stat(path).catch(() => undefined)) return;
  throw new Problem({
    code: 'cli.data_missing',
    kind: 'not_found',
    message: `There is no Waybill data at ${path}.`,
    hint: 'Name the data directory with --data DIR or WAYBILL_DATA.',
  });
}

/** A new one-use link for the owner, for whoever holds the data directory. The server must be stopped. */
export const recoverAccess: Run = async (invocation: Invocation) => {
  const data = dataDirectory(invocation);
  await requireFile(join(data, 'waybill.db'));
  const server = await startServer(parseServerOptions({ data, listen: '127.0.0.1:0', logLevel: 'error' }));
  try {
    const { identity } = server.platform;
    const name = invocation.flag('person') ?? 'owner';
    const person = await identity.findPrincipalByName(name);
    if (person?.kind !== 'person') {
      throw new Problem({
        code: 'cli.person_unknown',
        kind: 'not_found',
        message: `There is no person called ${name}.`,
        hint: `Name one with --person: ${(await identity.listPrincipals(consoleCaller())).map((one) => one.name).join(', ')}`,
      });
    }
    const { enrolment, expiresAt } = await identity.reissueEnrolment(consoleActor, person.id);
    const link = `${server.url}/enrol#${enrolment}`;
    return {
      document: { link, expiresAt: new Date(expiresAt).toISOString() },
      text: `Start the server again, then open this within 15 minutes:\n  ${link}`,
    };
  } finally {
    await server.close();
  }
};
