import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { sql } from 'kysely';
import { type Digest, digestOf, newId, Problem } from '#base';
import { type Hop, type Trace, traceChain, type TraceQuery } from '#trace';
import { type Chain, PATH, withChain } from './support/chain.ts';
import { PUBLIC_URL } from './support/house.ts';

const codeIs = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;

const spine = (trace: Trace) => trace.hops.map(({ kind }) => kind);
const refusals = (hop: Hop) => hop.checks.filter(({ status }) => status !== 'passed');
const whole = [
  'deployment',
  'promotion',
  'promotion',
  'promotion',
  'publication',
  'object',
  'provenance',
  'run',
  'push',
  'commit',
];

test('a chain is traced from digest, name and path back to the person, and every hop holds', async () => {
  await withChain(async ({ built, trace, dev }) => {
    const queries: TraceQuery[] = [
      { digest: built.digest },
      { name: `${built.name}@${built.version}` },
      { path: PATH },
      { path: PATH, digest: built.digest },
    ];
    for (const query of queries) {
      const found = await trace(query);
      assert.deepEqual(found.hops.flatMap(refusals), [], JSON.stringify(query));
      assert.deepEqual([found.ok, found.broken, found.digest, found.name], [true, null, built.digest, built.name]);
      assert.deepEqual(spine(found), query.path === undefined ? whole : ['file', ...whole]);
      assert.deepEqual(
        found.hops.filter(({ kind }) => kind === 'promotion').map(({ title }) => title),
        ['Promoted to production', 'Promoted to staging', 'Promoted to dev'],
      );
      const last = found.hops.at(-1)!;
      assert.deepEqual([last.id, last.links['signer']], [built.commit, dev.principal]);
      assert.match(last.title, /ann$/);
    }
  });
});

/** What is done, and how it is undone. */
type Undo = () => Promise<void>;
type Broken = [what: string, hop: string, code: string, attack: (chain: Chain) => Promise<Undo>];

const write = async (path: string, bytes: Uint8Array | string): Promise<Undo> => {
  const before = await readFile(path);
  await chmod(path, 0o600);
  await writeFile(path, bytes);
  return () => writeFile(path, before);
};

/** As somebody with write access to the database would: past the server, straight into tables. */
const database = async ({ house }: Chain, tables: readonly string[], ...statements: string[]): Promise<Undo> => {
  const db = house.db.read<Record<string, Record<string, unknown>>>();
  const before = await Promise.all(tables.map((table) => db.selectFrom(table).selectAll().execute()));
  const run = (texts: readonly string[]) =>
    house.db.write(async (tx) => {
      for (const text of texts) await sql.raw(text).execute(tx.as());
    });
  await run(statements);
  return async () => {
    await run(tables.toReversed().map((table) => `delete from ${table}`));
    await house.db.write(async (tx) => {
      for (const [index, table] of tables.entries()) {
        for (const row of before[index]!) {
          await tx.as<Record<string, Record<string, unknown>>>().insertInto(table).values(row).execute();
        }
      }
    });
  };
};
const factOf = async ({ house }: Chain, type: string, at = 0) =>
  (await house.journal.read({ types: [type], newestFirst: true, limit: 9 }))[at]!;

/** Alters the entry of a fact in the log's own files, as somebody with the disk would. */
async function alterEntry(chain: Chain, type: string, at = 0): Promise<Undo> {
  const { number } = await factOf(chain, type, at);
  await chain.house.ledger.waitForFact(await chain.house.journal.head());
  const leaf = await chain.house.journal.leaf(number);
  const dir = join(chain.house.dir, 'ledger', 'events');
  const files = execFileSync('find', [dir, '-type', 'f'], { encoding: 'utf8' }).trim().split('\n');
  const undo: Undo[] = [];
  for (const path of files) {
    const bytes = await readFile(path);
    const offset = bytes.indexOf(leaf);
    if (offset < 0) continue;
    bytes[offset + 10]! ^= 1;
    undo.push(await write(path, bytes));
  }
  assert.ok(undo.length > 0, 'the entry was found in the log');
  return async () => {
    for (const one of undo) await one();
  };
}

const attacks: Broken[] = [
  [
    'the stored bytes of the artifact',
    'object',
    'trace.object_altered',
    ({ house, built }) => write(house.objects.path(built.digest), 'the progran'),
  ],
  [
    'the stored provenance bundle',
    'provenance',
    'trace.object_altered',
    async ({ house, built }) => {
      const path = house.objects.path(built.provenance);
      const bytes = await readFile(path);
      bytes[bytes.length - 20]! ^= 1;
      return await write(path, bytes);
    },
  ],
  [
    'the stored summary of staging',
    'promotion',
    'trace.object_altered',
    async (chain) => {
      const fact = await factOf(chain, 'release.promoted', 1);
      return await write(chain.house.objects.path((fact.payload as { summary: Digest }).summary), '{}');
    },
  ],
  ...(
    [
      ['an artifact’s digest', 'publication', 'artifact_record', `digest = '${digestOf('evil')}'`],
      ['an artifact’s version', 'publication', 'artifact_record', `version = '6.6.6'`],
      ['an artifact’s run', 'publication', 'artifact_record', `run = 'run_aaaaaaaaaaaaaaaaaaaa'`],
      ['a run’s commit', 'run', 'build_run', `commit_id = '${'e'.repeat(40)}'`],
      ['an output’s digest', 'run', 'build_output', `digest = '${digestOf('evil')}'`],
      ['a push’s pusher', 'push', 'source_push', `pusher = 'prn_evil'`],
      ['the holder of a key', 'commit', 'identity_key', `principal_id = 'prn_evil'`],
      ['a promotion’s checks', 'promotion', 'release_promotion', `checks = '[]'`],
      ['an approver', 'promotion', 'release_approval', `principal = 'prn_evil'`],
      ['a deployment’s path', 'deployment', 'deploy_deployment', `path = '/tmp/x'`],
    ] as const
  ).map(([what, hop, table, change]): Broken => [
    `${what} in the database`,
    hop,
    'trace.row_altered',
    (chain) => database(chain, [table], `update ${table} set ${change}`),
  ]),
  [
    'a forged second approval',
    'promotion',
    'trace.row_altered',
    (chain) =>
      database(
        chain,
        ['release_approval'],
        `insert into release_approval select promotion, 'prn_evil', kind, comment, fact + 100000, at from release_approval`,
      ),
  ],
  [
    'the log entry of the publication',
    'publication',
    'ledger.entry_altered',
    (chain) => alterEntry(chain, 'artifact.published', 1),
  ],
  ['the log entry of the push', 'push', 'ledger.entry_altered', (chain) => alterEntry(chain, 'source.push_accepted')],
  [
    'the log entry of the deployment',
    'deployment',
    'ledger.entry_altered',
    (chain) => alterEntry(chain, 'deploy.verified'),
  ],
  [
    'the payload of the run in the journal',
    'run',
    'ledger.payload_altered',
    async (chain) => {
      const { number } = await factOf(chain, 'build.run_finished');
      const edit = `update journal_payload set private = replace(private, 'success', 'succest')`;
      return await database(chain, ['journal_payload'], `${edit} where number = ${number}`);
    },
  ],
  [
    'the fact of an approval removed from the journal',
    'promotion',
    'trace.fact_missing',
    async (chain) => {
      const { number } = await factOf(chain, 'release.promotion_approved');
      const remove = ['journal_payload', 'journal_fact'].map(
        (table) => `delete from ${table} where number = ${number}`,
      );
      return await database(chain, ['journal_fact', 'journal_payload'], ...remove);
    },
  ],
  [
    'the commit altered in the repository',
    'commit',
    'source.',
    ({ house, built }) =>
      write(
        join(house.dir, 'git', 'rep_hello.git', 'objects', built.commit.slice(0, 2), built.commit.slice(2)),
        'no object at all',
      ),
  ],
];

test('whatever is altered beside Waybill, the trace names exactly that hop, with what was expected and found', async () => {
  await withChain(async (chain) => {
    const name = `${chain.built.name}@${chain.built.version}`;
    for (const [what, hop, code, attack] of attacks) {
      const undo = await attack(chain);
      const found = await chain.trace({ name });
      const told = `${what}: ${JSON.stringify(found.broken)}`;
      assert.equal(found.ok, false, told);
      assert.equal(found.broken?.hop, hop, told);
      assert.ok(found.broken?.code?.startsWith(code), told);
      assert.ok(found.broken?.expected !== null && found.broken?.found !== null, told);
      const broken = new Set(found.hops.filter(({ ok }) => !ok).map(({ kind }) => kind));
      // The commit hop rests on the fact of the push as well; nothing else is dragged along.
      if (hop === 'push') broken.delete('commit');
      assert.deepEqual([...broken], [hop], told);
      await undo();
      assert.deepEqual((await chain.trace({ name })).broken, null, `${what}, put right again`);
    }
  });
});

test('a drift that the agent saw breaks the trace of the file, not that of the artifact', async () => {
  await withChain(async ({ trace, deployments, agent, target, deployment, built }) => {
    await deployments.report(agent, target, {
      kind: 'drifted',
      report: newId('rpt'),
      seenAt: Date.now(),
      deployment,
      digest: built.digest,
      drift: 'file_altered',
      path: PATH,
      expected: built.digest,
      found: digestOf('evil'),
    });
    const found = await trace({ path: PATH });
    assert.deepEqual([found.broken?.hop, found.broken?.code], ['file', 'trace.file_drifted']);
    assert.deepEqual([found.broken?.expected, found.broken?.found], [built.digest, digestOf('evil')]);
    const artifact = await trace({ digest: built.digest });
    assert.equal(artifact.ok, true);
    assert.match(artifact.hops[0]!.title, /drifted since$/);
  });
});

test('a file that no longer hashes to what was verified is named, also by the digest it has now', async () => {
  await withChain(async ({ trace, deployments, agent, target, deployment, built }) => {
    const now = digestOf('evil');
    const found = await trace({ path: PATH, digest: now });
    assert.deepEqual([found.broken?.hop, found.broken?.expected, found.broken?.found], ['file', built.digest, now]);
    await assert.rejects(trace({ digest: now }), codeIs('trace.not_found'));
    await deployments.report(agent, target, {
      kind: 'drifted',
      report: newId('rpt'),
      seenAt: Date.now(),
      deployment,
      digest: built.digest,
      drift: 'file_altered',
      path: PATH,
      expected: built.digest,
      found: now,
    });
    assert.equal((await trace({ digest: now })).broken?.hop, 'file');
  });
});

test('bytes from the playground have no chain, and say so', async () => {
  await withChain(async ({ house, dev, trace }) => {
    const place = { repository: 'acme/playground', name: 'acme/mine', version: '1', file: 'mine' };
    const bytes = async function* () {
      yield Buffer.from('mine');
    };
    const { record } = await house.artifacts.upload(dev, { ...place, body: bytes() });
    for (const query of [{ digest: record.digest }, { name: 'acme/mine@1' }]) {
      const found = await trace(query);
      assert.deepEqual(
        [found.ok, found.broken?.hop, found.broken?.code],
        [false, 'publication', 'trace.playground_only'],
      );
    }
  });
});

test('an artifact that was published and never promoted is traced from its publication on', async () => {
  await withChain(async ({ trace, built }) => {
    const found = await trace({ name: `acme/hello/other@${built.version}` });
    assert.deepEqual([found.ok, spine(found)], [true, whole.slice(whole.indexOf('publication'))]);
  });
});

test('what is not here is not found, and strangers find nothing', async () => {
  await withChain(async ({ house, traces, trace, built }) => {
    await assert.rejects(trace({ digest: digestOf('nothing') }), codeIs('trace.not_found'));
    await assert.rejects(trace({ name: 'acme/nothing@1' }), codeIs('trace.not_found'));
    await assert.rejects(trace({ path: '/etc/passwd' }), codeIs('trace.not_found'));
    await assert.rejects(trace({}), codeIs('trace.nothing_asked'));
    await assert.rejects(traces.trace(await house.person('eve'), { digest: built.digest }), codeIs('trace.not_found'));
  });
});

test('a chain without one of its links is broken there, and nothing beyond is claimed', async () => {
  await withChain(async ({ house, built }) => {
    const evidence = {
      digest: built.digest,
      tracedAt: 0,
      publicUrl: PUBLIC_URL,
      trustedRoot: house.attest.trustedRoot(),
      file: null,
      deployment: null,
      promotions: [],
      publication: null,
      publicationRows: [],
      uploads: [],
      object: { digest: built.digest, found: built.digest },
      signed: null,
      provenance: null,
      run: null,
      push: null,
      pushRows: [],
      origin: null,
      commit: null,
    };
    const found = traceChain(evidence);
    assert.deepEqual([found.ok, found.broken?.hop, found.broken?.code], [false, 'publication', 'trace.link_missing']);
    assert.ok(found.hops.slice(1).every(({ checks }) => checks.every(({ status }) => status === 'not_checked')));
  });
});

test('projects that share bytes neither show nor hide each other’s history', async () => {
  await withChain(async ({ house, traces, built, dev, trace }) => {
    const { identity, artifacts, owner } = house;
    await identity.createProject(owner, 'other');
    const grants = [{ role: 'developer' as const, project: 'other' }];
    const { enrolment } = await identity.invitePerson(owner, { name: 'eve', emails: [], grants });
    const { token } = await identity.redeemEnrolment(enrolment, { kind: 'http', address: '127.0.0.1' }, 'access');
    const eve = (await identity.authenticate(token, { kind: 'http', address: '127.0.0.1' }))!;
    await assert.rejects(traces.trace(eve, { digest: built.digest }), codeIs('trace.not_found'));
    await assert.rejects(traces.trace(eve, { path: PATH }), codeIs('trace.not_found'));
    const body = (async function* () {
      yield Buffer.from('the program');
    })();
    const copy = { repository: 'other/playground', name: 'other/copy', version: '1', file: 'copy', body };
    await artifacts.upload(eve, copy);
    const mine = await trace({ digest: built.digest });
    assert.equal(mine.ok, true);
    assert.doesNotMatch(JSON.stringify(mine), new RegExp(`other/copy|${eve.principal}`));
    const theirs = await traces.trace(eve, { digest: built.digest });
    assert.match(JSON.stringify(theirs), /other\/copy|playground/);
    assert.doesNotMatch(JSON.stringify(theirs), new RegExp(`acme|${dev.principal}`));
  });
});
