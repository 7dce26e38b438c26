import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { canonicalJson, type Check, newId, type Verdict } from '#base';
import { openCheckpointMemory } from '#client';
import { identityContract } from '#identity';
import { rebuildAndCompare } from '#journal';
import { policyDigest, type PolicyDocument } from '#policy';
import { modules } from '#server';
import { inHouse, ofCall } from './attempt.ts';
import type { Attempt, Drill } from './drill.ts';
import { flipByte } from './flip.ts';
import { eventually, type House, openHouse } from './house.ts';

/** Somebody with the database file in their hands, beside Waybill. */
function besideWaybill<T>({ data }: House, work: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(join(data, 'waybill.db'));
  try {
    db.exec('PRAGMA busy_timeout = 5000');
    return work(db);
  } finally {
    db.close();
  }
}

/** The table whose name ends so; whose name it is is its module's business. */
function tableLike(db: DatabaseSync, ending: string): string {
  const rows = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all() as { name: string }[];
  const found = rows.find(({ name }) => name.endsWith(ending));
  if (!found) throw new Error(`there is no table …${ending}`);
  return found.name;
}

/** A control that detects stops an attack by naming it. */
function ofVerdict({ ok, checks }: Verdict, succeeded: Attempt): Attempt {
  if (ok) return succeeded;
  const { name, code, found } = checks.find(({ status }) => status === 'failed') as Check;
  return { succeeded: false, code: code ?? name, detail: `${name}: ${found ?? ''}`.slice(0, 400) };
}

const verifyTables = ({ server }: House) => rebuildAndCompare({ db: server.platform.db, modules });

const tables: readonly Drill[] = [
  inHouse({
    id: 'grant-written-into-database',
    title: 'A right written straight into the database',
    threats: ['B3', 'B36', 'SEC-2', 'SEC-10'],
    control: 'server rebuild --verify',
    refusal: /^journal\.table_altered$/,
    controlOff: { asked: false },
    async attack(house, { switches }) {
      const { developer, server } = house;
      const { id: principal } = (await server.platform.identity.findPrincipalByName(developer.name))!;
      const grant = newId('grt');
      besideWaybill(house, (db) => {
        const table = tableLike(db, '_grant');
        const sample = db.prepare(`SELECT * FROM ${table} WHERE role = 'owner'`).get() as Record<string, never>;
        const row = { ...sample, id: grant, subject_kind: 'principal', subject_id: principal };
        const names = Object.keys(row);
        const holes = names.map(() => '?').join(', ');
        db.prepare(`INSERT INTO ${table} (${names.join(', ')}) VALUES (${holes})`).run(...Object.values(row));
      });
      try {
        if (switches.asked !== false) return ofVerdict(await verifyTables(house), noticedByNobody);
        return await ofCall(() => developer.client.call(identityContract.listPeople), 'the developer is an owner now');
      } finally {
        besideWaybill(house, (db) => db.prepare(`DELETE FROM ${tableLike(db, '_grant')} WHERE id = ?`).run(grant));
      }
    },
    legitimate: (house) => intactTables(house),
  }),
  inHouse({
    id: 'row-edited-in-database',
    title: 'The digest of an artifact changed in the database',
    threats: ['A19', 'B36', 'SLSA-G', 'SEC-10'],
    control: 'server rebuild --verify',
    refusal: /^journal\.table_altered$/,
    controlOff: { asked: false },
    prepare: (house) => house.released(),
    async attack(house, { switches }) {
      const [tool, other] = await house.released();
      const write = (digest: string) =>
        besideWaybill(house, (db) =>
          db.prepare(`UPDATE ${tableLike(db, '_record')} SET digest = ? WHERE id = ?`).run(digest, tool!.id),
        );
      write(other!.digest);
      try {
        if (switches.asked !== false) return ofVerdict(await verifyTables(house), noticedByNobody);
        const shown = (await house.awaitArtifacts(tool!.run!)).find(({ id }) => id === tool!.id);
        return { succeeded: shown?.digest === other!.digest, detail: `the list shows ${shown?.digest}` };
      } finally {
        write(tool!.digest);
      }
    },
    legitimate: (house) => intactTables(house),
  }),
];

const noticedByNobody: Attempt = { succeeded: true, detail: 'the verification found nothing' };

async function intactTables(house: House): Promise<string> {
  const { ok, checks } = await verifyTables(house);
  if (!ok) throw new Error(JSON.stringify(checks.filter(({ status }) => status === 'failed')));
  return 'untouched tables are what the facts give';
}

/** The file that holds entry `index`; below 256 entries a tile is partial. */
async function entryFile(house: House, index: number): Promise<string> {
  const dir = join(house.data, 'ledger', 'events', 'tile', 'entries');
  const tile = String(Math.floor(index / 256)).padStart(3, '0');
  const names = await readdir(dir);
  if (names.includes(tile)) return join(dir, tile);
  const partials = (await readdir(join(dir, `${tile}.p`))).map(Number).toSorted((a, b) => b - a);
  return join(dir, `${tile}.p`, String(partials[0]));
}

/** Where in that file the entry lies: each is written after its length in two bytes. */
async function entryOffset(house: House, index: number): Promise<number> {
  const { events } = house.server.platform.ledger;
  let offset = 0;
  for (let before = index - (index % 256); before < index; before++) offset += 2 + (await events.entry(before)).length;
  return offset + 2;
}

/** One bit of the logged entry of a fact; put back by the answer. */
async function flipEntry(house: House, fact: number): Promise<() => Promise<void>> {
  await house.server.platform.ledger.waitForFact((await house.server.platform.journal.head()) || fact);
  const path = await entryFile(house, fact - 1);
  return await flipByte(path, (await entryOffset(house, fact - 1)) + 10);
}

const log: readonly Drill[] = [
  inHouse({
    id: 'log-entry-edited',
    title: 'One bit of an entry of the log flipped on the disk',
    threats: ['B36', 'A19', 'SEC-10'],
    control: 'ledger verify',
    refusal: /^ledger\./,
    controlOff: { asked: false },
    prepare: (house) => house.released(),
    async attack(house, { switches }) {
      const [tool] = await house.released();
      const undo = await flipEntry(house, tool!.fact);
      try {
        if (switches.asked !== false) return ofVerdict(await house.server.platform.ledger.verify(), noticedByNobody);
        return { succeeded: (await house.awaitArtifacts(tool!.run!)).length > 0, detail: 'everything seems as before' };
      } finally {
        await undo();
      }
    },
    legitimate: (house) => intactLog(house),
  }),
  inHouse({
    id: 'promotion-past-edited-log',
    title: 'A promotion of an artifact whose log entry was edited',
    threats: ['B36', 'A18', 'SLSA-H'],
    control: 'a promotion asks the ledger about every fact it rests on',
    refusal: /policy\.publication_not_in_ledger/,
    controlOff: { promotion: { askLedger: false } },
    prepare: (house) => house.released(),
    async attack(house) {
      const tool = (await house.released())[0]!;
      const undo = await flipEntry(house, tool.fact);
      try {
        const { status, checks } = await house.promote(tool.digest, 'dev');
        const code = checks.flatMap((check) => check.code ?? []).join(' ');
        return { succeeded: status === 'promoted', code, detail: `the promotion is ${status}` };
      } finally {
        await undo();
      }
    },
    async legitimate(house) {
      const { status } = await house.promote((await house.released())[0]!.digest, 'dev');
      if (status !== 'promoted') throw new Error(`with the log intact it is ${status}`);
      return 'the same promotion with the log intact';
    },
  }),
  inHouse({
    id: 'policy-edited-in-database',
    title: 'The policy of production relaxed in the database’s own record of it',
    threats: ['S4', 'B36', 'SLSA-H'],
    control: 'a promotion asks the ledger about every fact it rests on',
    refusal: /^(release\.undecidable|ledger\.)/,
    controlOff: { promotion: { askLedger: false } },
    alone: true,
    prepare: (house) => house.released(),
    async attack(house) {
      const tool = (await house.released())[0]!;
      const { number, undo } = relaxPolicy(house);
      try {
        const { releases, ledger } = house.server.platform;
        const asked = await house.requestPromotion(tool.digest, 'production');
        let looks = LOOKS;
        const status = await eventually('a decision', async () => {
          const found = (await releases.findPromotion(asked))?.status;
          return found === 'waiting' && --looks > 0 ? undefined : found;
        });
        if (status === 'promoted') return { succeeded: true, detail: 'nobody else was asked for production' };
        const silent = { succeeded: false, detail: `the promotion is ${status}, and the ledger says nothing` };
        return ofVerdict(await ledger.verifyFact(number), silent);
      } finally {
        undo();
      }
    },
    async legitimate(house) {
      const { status } = await house.promote((await house.released())[0]!.digest, 'dev');
      if (status !== 'promoted') throw new Error(`under the policy as it was decided it is ${status}`);
      return 'a promotion under the policy as it was decided';
    },
  }),
  inHouse({
    id: 'checkpoint-rolled-back',
    title: 'The whole server set back to how it was before an act',
    threats: ['B36', 'SEC-10'],
    control: 'clients remember the last checkpoint',
    refusal: /^client\.ledger_rolled_back$/,
    controlOff: { asked: false },
    alone: true,
    async attack(house, { dir, switches }) {
      const copy = join(dir, 'yesterday');
      await house.restart(() => cp(house.data, copy, { recursive: true }));
      const memory = openCheckpointMemory(join(dir, 'checkpoints.json'));
      await house.owner.call(identityContract.createProject, { body: { slug: 'made-later' } });
      await settleLedger(house);
      await memory.advance(house.owner);
      await house.restart(async () => {
        await rm(house.data, { recursive: true });
        await cp(copy, house.data, { recursive: true });
      });
      const asked = switches.asked === false ? openCheckpointMemory(join(dir, 'none.json')) : memory;
      return await ofCall(() => asked.advance(house.owner), 'a client without memory takes it for the newest');
    },
    // In a house of its own: a server that learns that it was set back takes nothing in any more.
    async legitimate(_house, { dir }) {
      const house = await openHouse();
      try {
        const memory = openCheckpointMemory(join(dir, 'honest.json'));
        await memory.advance(house.owner);
        await house.owner.call(identityContract.createProject, { body: { slug: 'made-honestly' } });
        await settleLedger(house);
        await memory.advance(house.owner);
        return 'a log that only grew';
      } finally {
        await house.close();
      }
    },
  }),
];

const LOOKS = 20;

/** What the environment's own fact says, changed where it rests: nothing is asked for but a run that succeeded. */
function relaxPolicy(house: House): { number: number; undo: () => void } {
  const write = (number: number, text: string) =>
    besideWaybill(house, (db) =>
      db.prepare(`UPDATE ${tableLike(db, '_payload')} SET private = ? WHERE number = ?`).run(text, number),
    );
  const rows = besideWaybill(
    house,
    (db) => db.prepare(`SELECT number, private FROM ${tableLike(db, '_payload')}`).all() as unknown as Payload[],
  );
  const row = rows.find((each) => each.private.includes('"acme/production"') && each.private.includes('policyDigest'));
  if (!row) throw new Error('there is no policy of production');
  const text = JSON.parse(row.private) as { payload: EnvironmentPayload };
  const policy = { ...text.payload.policy, rules: [{ kind: 'run-succeeded' as const }] };
  write(
    row.number,
    canonicalJson({ ...text, payload: { ...text.payload, policy, policyDigest: policyDigest(policy) } }),
  );
  return { number: row.number, undo: () => void write(row.number, row.private) };
}

interface Payload {
  number: number;
  private: string;
}

interface EnvironmentPayload {
  policy: PolicyDocument;
  policyDigest: string;
}

async function settleLedger({ server }: House): Promise<void> {
  const { journal, ledger } = server.platform;
  await journal.idle();
  await ledger.waitForFact(await journal.head());
}

async function intactLog(house: House): Promise<string> {
  await settleLedger(house);
  const { ok, checks } = await house.server.platform.ledger.verify();
  if (!ok) throw new Error(JSON.stringify(checks.filter(({ status }) => status === 'failed')));
  return 'an untouched log verifies';
}

export const ledgerDrills: readonly Drill[] = [...tables, ...log];
