import { failed, notChecked, passed, Problem, verdictOf } from '#base';
import type { Check, Verdict } from '#base';
import type { Journal } from '#journal';
import type { AuditProgress } from './audit.ts';
import type { SignedCheckpoint } from './checkpoint.ts';
import { hashHex, leafHash } from './hash.ts';
import type { Hash } from './hash.ts';
import { journalSource } from './journalsource.ts';
import { outOfRange } from './problems.ts';
import type { TileLog } from './tilelog.ts';

interface Parts {
  journal: Pick<Journal, 'head' | 'leaves' | 'commitmentHolds' | 'find'>;
  events: TileLog;
  waitForFact: (number: number) => Promise<SignedCheckpoint>;
}

/**
 * One fact, all the way from its row to the signed checkpoint, each hop judged by itself. The tiles usually prove the leaf;
 * if they do not, the whole log is read to find out which of row, entry and tile was altered.
 */
export async function verifyFact(parts: Parts, number: number): Promise<Verdict> {
  const covered = await coveredBy(parts, number);
  const { checkpoint, check: checkpointCheck } = await parts.events.auditCheckpoint();
  const proven = checkpoint && (await provenLeaf(parts.events, number - 1, checkpoint));
  if (!proven) return await attribute(parts, number, covered);
  return verdictOf([
    await rowCheck(parts, number, proven),
    entryCheck(number, proven, await entryHash(parts.events, number - 1)),
    passed('ledger.tile', 'the tiles on the path hash to the signed root'),
    passed('ledger.inclusion', `leaf ${number - 1} of ${checkpoint.size}`),
    checkpointCheck,
  ]);
}

/** Undefined if a checkpoint covers the fact; the reason why none does otherwise. */
async function coveredBy({ journal, events, waitForFact }: Parts, number: number): Promise<Problem | undefined> {
  if (!Number.isSafeInteger(number) || number < 1) throw outOfRange(`There is no fact number ${number}.`);
  if (number > events.size() && number > (await journal.head())) throw outOfRange(`There is no fact number ${number}.`);
  try {
    await waitForFact(number);
    return undefined;
  } catch (error) {
    if (Problem.is(error)) return error;
    throw error;
  }
}

/** The leaf hash in the tile, if the tiles prove it under the signed root. */
async function provenLeaf(events: TileLog, index: number, { size, root }: SignedCheckpoint): Promise<Hash | undefined> {
  if (index >= size) return undefined;
  const proof = await orUndefined(events.inclusionProof(index, size));
  return proof?.root === root ? proof.leaf : undefined;
}

/** Something on the way is broken: the audit of the whole log says what. */
async function attribute(parts: Parts, number: number, uncovered: Problem | undefined): Promise<Verdict> {
  const { verdict, leaf } = await parts.events.audit({ index: number - 1 });
  const find = (name: string): Check =>
    verdict.checks.find((check) => check.name === name) ?? notChecked(name, 'The log could not be read.');
  if (uncovered) {
    const missing = failed('ledger.inclusion', {
      code: uncovered.code,
      expected: `fact ${number} in the log`,
      found: uncovered.message,
      fix: uncovered.hint,
    });
    const unknown = 'The fact is not in the signed log.';
    return verdictOf([
      notChecked('journal.row', unknown),
      notChecked('ledger.entry', unknown),
      find('ledger.tile'),
      missing,
      find('ledger.checkpoint'),
    ]);
  }
  const signed = leaf?.signed;
  const unknown = 'What was signed could not be established.';
  return verdictOf([
    signed ? await rowCheck(parts, number, signed) : notChecked('journal.row', unknown),
    signed ? entryCheck(number, signed, leaf.entry) : notChecked('ledger.entry', unknown),
    find('ledger.tile'),
    find('ledger.inclusion'),
    find('ledger.checkpoint'),
  ]);
}

/** The leaf made anew from the row must be the signed one, and the payload must open the row's commitment. */
async function rowCheck({ journal }: Parts, number: number, signed: Hash): Promise<Check> {
  const fix = 'Somebody changed the database outside Waybill: restore the row from a backup.';
  const [leaf] = (await orUndefined(journalSource(journal).read(number - 1, 1))) ?? [];
  if (!leaf)
    return failed('journal.row', { code: 'ledger.row_missing', expected: `fact ${number}`, found: 'no such row', fix });
  const found = leafHash(leaf);
  if (found !== signed) {
    return failed('journal.row', {
      code: 'ledger.row_altered',
      expected: `leaf hash ${hashHex(signed)}`,
      found: `leaf hash ${hashHex(found)}`,
      detail: `fact ${number}`,
      fix,
    });
  }
  return await payloadCheck(journal, number, await commitmentOf(journal, number));
}

type CommitmentState = Awaited<ReturnType<Journal['commitmentHolds']>>;

/** A row that cannot even be read was altered. */
async function commitmentOf(journal: Parts['journal'], number: number): Promise<CommitmentState> {
  return await journal.commitmentHolds(number).catch((): CommitmentState => 'broken');
}

async function payloadCheck(journal: Parts['journal'], number: number, state: CommitmentState): Promise<Check> {
  if (state === 'holds') return passed('journal.row', `fact ${number}: row and payload are what was signed`);
  if (state === 'erased') {
    const by = (await journal.find(number))?.erasedBy;
    // Its own state: passed, and marked, because two people erased the payload and a fact says so.
    const detail = `fact ${number}: the row is what was signed; its payload was erased by fact ${by}`;
    return { ...passed('journal.row', detail), code: 'ledger.payload_erased' };
  }
  // No fact erased it, so a payload that is gone was removed by somebody else.
  const gone = state === 'missing';
  return failed('journal.row', {
    code: gone ? 'ledger.payload_missing' : 'ledger.payload_altered',
    expected: 'a payload that opens the signed commitment',
    found: gone ? 'no payload' : 'another payload',
    detail: `fact ${number}`,
    fix: 'Somebody changed the database outside Waybill: restore the payload from a backup.',
  });
}

function entryCheck(number: number, signed: Hash, found: Hash | undefined): Check {
  if (found === signed) return passed('ledger.entry', `entry ${number - 1} is what was signed`);
  return failed('ledger.entry', {
    code: 'ledger.entry_altered',
    expected: `leaf hash ${hashHex(signed)}`,
    found: found === undefined ? 'no readable entry' : `leaf hash ${hashHex(found)}`,
    detail: `entry ${number - 1}`,
    fix: 'Somebody changed the log on the disk: restore the entry bundle from a backup.',
  });
}

async function entryHash(events: TileLog, index: number): Promise<Hash | undefined> {
  const entry = await orUndefined(events.entry(index));
  return entry && leafHash(entry);
}

/** The whole log and the whole journal against each other. */
export async function verifyLedger(parts: Parts, onProgress?: AuditProgress): Promise<Verdict> {
  const { journal, events } = parts;
  const head = await journal.head();
  const uncovered = head > 0 ? await coveredBy(parts, head) : undefined;
  const { checks } = await events.verify(onProgress);
  const payloads = await verifyPayloads(journal, Math.min(head, events.size()));
  const merged = checks.map((check) =>
    check.name === 'journal.row' && check.status === 'passed' && payloads ? payloads : check,
  );
  return verdictOf([...merged, coverageCheck(head, uncovered)]);
}

function coverageCheck(head: number, uncovered: Problem | undefined): Check {
  if (!uncovered) return passed('ledger.coverage', `a signed checkpoint covers all ${head} facts`);
  return failed('ledger.coverage', {
    code: uncovered.code,
    expected: `a checkpoint of size ${head}`,
    found: uncovered.message,
    fix: uncovered.hint,
  });
}

/** The first payload that is gone or does not open its commitment. */
async function verifyPayloads(journal: Parts['journal'], until: number): Promise<Check | undefined> {
  for (let number = 1; number <= until; number += 1) {
    const state = await commitmentOf(journal, number);
    if (state !== 'holds' && state !== 'erased') return await payloadCheck(journal, number, state);
  }
  return undefined;
}

/** Whatever cannot be read is judged as missing. */
async function orUndefined<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (Problem.is(error)) return undefined;
    throw error;
  }
}
