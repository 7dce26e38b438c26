import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { judgeCheckpoint } from '#ledger';
import { withDirectory } from '../src/ledger/testlog.ts';
import { type Network, openServer, type Server } from '../src/ledger/testservers.ts';

// kill -9 at every kind of durable step of sequencing, tiles, checkpoints and the exchange with a witness.
const victim = join(import.meta.dirname, 'support/ledger-victim.ts');

interface Acknowledged {
  number: number;
  note: string;
}

async function runVictim(dir: string, point: string, hit: number): Promise<{ acks: Acknowledged[]; killed: boolean }> {
  const child = spawn(process.execPath, [victim, dir], {
    env: { WAYBILL_FAULT_POINT: point, WAYBILL_FAULT_HIT: String(hit) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close') as Promise<[number | null, string | null]>;
  const [output, [, signal]] = await Promise.all([text(child.stdout), closed]);
  const lines = output.split('\n').filter((line) => line !== '' && line !== 'done');
  return { acks: lines.map((line) => JSON.parse(line) as Acknowledged), killed: signal === 'SIGKILL' };
}

async function checkRestart(root: string, acks: readonly Acknowledged[], what: string): Promise<void> {
  const network: Network = { servers: new Map(), requests: [] };
  const b = await openServer(join(root, 'b'), 'b', network);
  const a = await openServer(join(root, 'a'), 'a', network);
  try {
    assert.equal(a.ledger.refusal, undefined, what);
    assert.equal(b.ledger.refusal, undefined, what);
    await checkAcknowledged(a, acks, what);
    await checkWitness(a, b, what);
    // It goes on: the next fact is witnessed again, if the pairing had got that far.
    const number = await a.record('toy/1');
    const { checkpoint } = await a.ledger.proveFact(number);
    const judged = judgeCheckpoint(checkpoint.note, a.assurance.cosigning.settings().policy);
    assert.ok(judged.verdict.ok || a.assurance.cosigning.settings().fail === 'open', what);
    for (const server of [a, b]) {
      assert.equal((await server.assurance.forks()).length, 0, `${what}: no fork`);
      const verdict = await server.ledger.verify();
      assert.ok(verdict.ok, `${what}: ${JSON.stringify(verdict.checks.filter(({ status }) => status !== 'passed'))}`);
    }
  } finally {
    await a.close();
    await b.close();
  }
}

async function checkAcknowledged({ ledger }: Server, acks: readonly Acknowledged[], what: string): Promise<void> {
  for (const { number, note } of acks) {
    const [, size, root] = note.split('\n');
    await ledger.waitForFact(number);
    const { oldRoot } = await ledger.events.consistencyProof(Number(size));
    assert.equal(Buffer.from(oldRoot, 'latin1').toString('base64'), root, `${what}: acknowledged and still so`);
  }
}

/** What the witness stored is a state that the log was in. */
async function checkWitness(a: Server, b: Server, what: string): Promise<void> {
  const [seen] = await b.assurance.witness.logs();
  if (seen?.size === undefined || seen.size === 0) return;
  assert.ok(a.ledger.events.size() >= seen.size, `${what}: the witness is not ahead`);
}

const points: Readonly<Record<string, readonly number[]>> = {
  'ledger.before_write': [1, 4, 9, 17, 30],
  'ledger.after_write': [2, 5, 10, 18, 31],
  'journal.before_record': [6, 9, 12, 16],
  'journal.after_record': [6, 9, 12, 16],
  'ledger.after_witness_answer': [1, 2, 4],
  'ledger.before_cosigned': [1, 3, 5],
};

for (const [point, hits] of Object.entries(points)) {
  test(`killed at ${point}: nothing acknowledged is lost, no log forks, and the witness agrees`, async () => {
    for (const hit of hits) {
      await withDirectory(async (root) => {
        const { acks, killed } = await runVictim(root, point, hit);
        assert.ok(killed, `${point} was reached ${hit} times`);
        await checkRestart(root, acks, `${point} ${hit}`);
      });
    }
  });
}
