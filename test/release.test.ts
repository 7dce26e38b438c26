import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { sql } from 'kysely';
import { publishOutputs } from '#artifact';
import { verifyBundle } from '#attest';
import { type Digest, digestOf, Problem } from '#base';
import type { Caller } from '#identity';
import { rebuildAndCompare } from '#journal';
import { identities, type Promotion, resourceUri } from '#release';
import { type Built, type House, PUBLIC_URL, withHouse } from './support/house.ts';

const codeIs = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;
const body = async function* (text: string) {
  yield Buffer.from(text);
};

async function promote(house: House, caller: Caller, artifact: string, to: string): Promise<Promotion> {
  const { id } = await house.releases.requestPromotion(caller, { project: 'acme', artifact, to });
  await house.journal.idle();
  return await house.releases.promotion(caller, id);
}

const codes = (promotion: Promotion) =>
  promotion.checks.filter(({ status }) => status !== 'passed').map(({ code }) => code);

async function promoteTo(house: House, caller: Caller, artifact: string, ...environments: string[]): Promise<void> {
  for (const environment of environments) {
    const promotion = await promote(house, caller, artifact, environment);
    assert.equal(promotion.status, 'promoted', `${environment}: ${JSON.stringify(codes(promotion))}`);
  }
}

test('an artifact goes from dev to production when the evidence is there, and each step leaves a summary that verifies', async () => {
  await withHouse(async (house) => {
    const author = await house.person('ann', 'developer');
    const approver = await house.person('bob', 'release-approver');
    const built = await house.build({ author: author.principal });
    await promoteTo(house, author, `${built.name}@${built.version}`, 'dev', 'staging');

    const waiting = await promote(house, author, built.digest, 'production');
    assert.equal(waiting.status, 'waiting');
    await house.releases.approve(approver, waiting.id, 'looks right');
    await house.journal.idle();
    const promoted = await house.releases.promotion(author, waiting.id);
    assert.equal(promoted.status, 'promoted');
    assert.deepEqual(codes(promoted), []);

    const { bytes } = await house.attest.requireBundle(promoted.summary!);
    const { issuer, verifier } = identities(PUBLIC_URL);
    const verdict = verifyBundle({
      bundle: bytes,
      trustedRoot: house.attest.trustedRoot(),
      artifact: built.digest,
      expect: { issuer, san: verifier },
    });
    assert.equal(verdict.ok, true);
    const predicate = verdict.statement!.predicate;
    assert.equal(predicate['verificationResult'], 'PASSED');
    assert.equal(predicate['resourceUri'], resourceUri(PUBLIC_URL, 'acme', 'production', built.name));
    assert.deepEqual(predicate['verifiedLevels'], ['SLSA_BUILD_LEVEL_3']);
    assert.equal((predicate['inputAttestations'] as unknown[]).length, 3);

    const production = await house.releases.environment(author, 'acme', 'production');
    assert.deepEqual(
      (await house.releases.desired(production.id)).map(({ digest }) => digest),
      [built.digest],
    );
    assert.equal((await rebuildAndCompare({ db: house.db, modules: house.modules })).ok, true);
  });
});

test('an environment cannot be skipped', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    const built = await house.build();
    const refused = await promote(house, dev, built.digest, 'staging');
    assert.deepEqual([refused.status, codes(refused)], ['refused', ['policy.summary_missing']]);
    const { bytes } = await house.attest.requireBundle(refused.summary!);
    const payload = JSON.parse(bytes.toString()) as { dsseEnvelope: { payload: string } };
    const statement = JSON.parse(Buffer.from(payload.dsseEnvelope.payload, 'base64').toString()) as {
      predicate: { verificationResult: string };
    };
    assert.equal(statement.predicate.verificationResult, 'FAILED');
    // A refusal for staging is no entry ticket, and neither is one for another environment.
    assert.deepEqual(codes(await promote(house, dev, built.digest, 'production')), [
      'policy.summary_failed',
      'policy.approvals_missing',
    ]);
  });
});

test('with only the policy switched off, skipping an environment succeeds', async () => {
  await withHouse(
    async (house) => {
      const dev = await house.person('ann', 'developer');
      const built = await house.build();
      assert.equal((await promote(house, dev, built.digest, 'production')).status, 'promoted');
    },
    { controls: { policy: false } },
  );
});

test('nobody approves their own request or their own commit, no machine approves, and nobody without the right', async () => {
  await withHouse(async (house) => {
    const both = await house.person('ann', 'developer', 'release-approver');
    const author = await house.person('bob', 'developer', 'release-approver');
    const dev = await house.person('dev', 'developer');
    const built = await house.build({ author: author.principal });
    await promoteTo(house, both, built.digest, 'dev', 'staging');
    const { id } = await promote(house, both, built.digest, 'production');
    const approve = (caller: Caller) => house.releases.approve(caller, id);
    await assert.rejects(approve(both), codeIs('release.approver_is_requester'));
    await assert.rejects(approve(author), codeIs('release.approver_is_author'));
    await assert.rejects(approve(dev), codeIs('identity.forbidden'));
    await assert.rejects(approve(house.owner), codeIs('identity.forbidden'));
    const bot = await house.machine('bot', 'release-approver');
    await assert.rejects(approve(bot.caller), codeIs('release.approver_is_no_person'));
    await house.journal.idle();
    assert.equal((await house.releases.promotion(both, id)).status, 'waiting');
    await approve(await house.person('cleo', 'release-approver'));
    await house.journal.idle();
    assert.equal((await house.releases.promotion(both, id)).status, 'promoted');
    await assert.rejects(approve(both), codeIs('release.already_decided'));
  });
});

test('what was uploaded to the playground is not promotable by name, path or digest, under any name', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    const playground = {
      repository: 'acme/playground',
      name: 'acme/hello/program',
      version: '1.0',
      file: 'program.bin',
    };
    const { record } = await house.artifacts.upload(dev, { ...playground, body: body('my own build') });
    for (const artifact of ['acme/hello/program@1.0', record.digest]) {
      await assert.rejects(promote(house, dev, artifact, 'dev'), codeIs('release.not_promotable'));
    }
    const copy = { ...playground, name: 'acme/other', version: '2.0', body: body('my own build') };
    await house.artifacts.upload(dev, copy);
    await assert.rejects(promote(house, dev, 'acme/other@2.0', 'dev'), codeIs('release.not_promotable'));
    const refusals = await house.journal.read({ types: ['release.request_refused'], limit: 9 });
    assert.deepEqual(
      refusals.map(({ subject }) => subject),
      [record.digest, record.digest, record.digest],
    );
  });
});

test('the same bytes later built by CI are promotable, and the playground record still is not', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    const playground = { repository: 'acme/playground', name: 'acme/mine', version: '1.0', file: 'program.bin' };
    await house.artifacts.upload(dev, { ...playground, body: body('the same bytes') });
    const built = await house.build({ outputs: { program: 'the same bytes' } });
    const records = await house.artifacts.show(dev, built.digest);
    assert.deepEqual(
      records.map(({ kind }) => kind),
      ['release', 'playground'],
    );
    await assert.rejects(promote(house, dev, 'acme/mine@1.0', 'dev'), codeIs('release.not_promotable'));
    assert.equal((await promote(house, dev, built.digest, 'dev')).status, 'promoted');
  });
});

const published = async (house: House, built: Built) =>
  (await house.artifacts.findRecords({ digest: built.digest, limit: 5 })).length;
const publicationRefusal = async (house: House) =>
  ((await house.journal.read({ types: ['artifact.publication_refused'], limit: 5 }))[0]?.payload as { code: string })
    ?.code;

test('a failed run publishes nothing, even with provenance', async () => {
  await withHouse(async (house) => {
    assert.equal(await published(house, await house.build({ result: 'failure' })), 0);
    assert.equal(await publicationRefusal(house), 'artifact.run_not_succeeded');
  });
});

test('provenance under another identity publishes nothing; with only that check off it does', async () => {
  const san = `${PUBLIC_URL}/acme/other/.github/workflows/build.yml@refs/heads/main`;
  await withHouse(async (house) => {
    assert.equal(await published(house, await house.build({ san })), 0);
    assert.equal(await publicationRefusal(house), 'artifact.provenance_invalid');
  });
  await withHouse(async (house) => assert.equal(await published(house, await house.build({ san })), 1), {
    controls: { verifyProvenance: false },
  });
});

test('a run whose outputs are worked off twice publishes them once', async () => {
  await withHouse(async (house) => {
    const built = await house.build({ outputs: { program: 'a', archive: 'b' } });
    const [signed] = await house.journal.read({ types: ['build.provenance_signed'], limit: 1 });
    const { db, journal, objects, attest } = house;
    await publishOutputs({ db, journal, objects, attest, publicUrl: PUBLIC_URL }, signed!);
    assert.equal((await house.artifacts.findRecords({ run: built.run, limit: 9 })).length, 2);
  });
});

test('two outputs whose names differ in case only are not published', async () => {
  await withHouse(async (house) => {
    assert.equal(await published(house, await house.build({ outputs: { program: 'a', PROGRAM: 'b' } })), 0);
    assert.equal(await publicationRefusal(house), 'artifact.path_twin');
  });
});

test('a tag built again with other bytes does not replace what the version was', async () => {
  await withHouse(async (house) => {
    const ref = 'refs/tags/v1.4.0';
    const first = await house.build({ ref, outputs: { program: 'first' } });
    const second = await house.build({ ref, outputs: { program: 'second' } });
    assert.deepEqual([await published(house, first), await published(house, second)], [1, 0]);
    assert.equal(await publicationRefusal(house), 'artifact.version_immutable');
  });
});

test('a statement with a parameter nobody considered, of another builder or another commit is refused', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    type Shape = {
      buildDefinition: { externalParameters: Record<string, unknown>; resolvedDependencies: { digest: object }[] };
      runDetails: { builder: { id: string } };
    };
    const cases: [(predicate: Shape) => void, string][] = [
      [(it) => (it.buildDefinition.externalParameters['shell'] = true), 'policy.external_parameter_unknown'],
      [(it) => (it.runDetails.builder.id = `${PUBLIC_URL}/builders/self-hosted/v1`), 'policy.builder_untrusted'],
      [
        (it) => (it.buildDefinition.resolvedDependencies[0]!.digest = { gitCommit: 'f'.repeat(40) }),
        'policy.commit_mismatch',
      ],
    ];
    for (const [change, code] of cases) {
      const built = await house.build({ change: (predicate) => change(predicate as unknown as Shape) });
      assert.deepEqual(codes(await promote(house, dev, built.digest, 'dev')), [code]);
    }
  });
});

test('a branch goes to dev and not beyond', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    const built = await house.build({ ref: 'refs/heads/spike' });
    await promoteTo(house, dev, built.digest, 'dev');
    const staging = await promote(house, dev, built.digest, 'staging');
    assert.deepEqual(codes(staging), ['policy.signer_untrusted', 'policy.source_not_allowed']);
  });
});

test('an old build is built again before it goes to production', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    const old = new Date(Date.now() - 100 * 86_400_000).toISOString();
    const built = await house.build({
      change: (predicate) => {
        (predicate['runDetails'] as { metadata: { finishedOn: string } }).metadata.finishedOn = old;
      },
    });
    await promoteTo(house, dev, built.digest, 'dev', 'staging');
    const refused = await promote(house, dev, built.digest, 'production');
    assert.deepEqual(codes(refused), ['policy.approvals_missing', 'policy.build_too_old']);
  });
});

test('a changed policy needs the right to change it, and makes older summaries worthless', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    const built = await house.build();
    await promoteTo(house, dev, built.digest, 'dev');
    const { policy } = await house.releases.environment(dev, 'acme', 'dev');
    const stricter = { ...policy, rules: [...policy.rules, { kind: 'max-age' as const, seconds: 3600 }] };
    await assert.rejects(house.releases.setPolicy(dev, 'acme', 'dev', stricter), codeIs('identity.forbidden'));
    const changed = await house.releases.setPolicy(house.owner, 'acme', 'dev', stricter);
    assert.equal(changed.policyVersion, 2);
    await assert.rejects(
      house.releases.setPolicy(house.owner, 'acme', 'dev', { ...stricter, name: 'acme/production' }),
      codeIs('release.policy_name_mismatch'),
    );
    assert.deepEqual(codes(await promote(house, dev, built.digest, 'staging')), ['policy.summary_outdated']);
    await promoteTo(house, dev, built.digest, 'dev', 'staging');
    assert.equal((await rebuildAndCompare({ db: house.db, modules: house.modules })).ok, true);
  });
});

const tamper = (house: House, statement: string) => house.db.write((tx) => sql.raw(statement).execute(tx.as()));
const damage = async (house: House, digest: Digest) => {
  const path = house.objects.path(digest);
  await chmod(path, 0o600);
  await writeFile(path, 'other bytes');
};

test('rows edited beside Waybill change no decision', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    const built = await house.build();
    await tamper(
      house,
      `update release_environment set policy = '{"version":1,"name":"acme/production","rules":[{"kind":"release-repository"}]}' where name = 'production'`,
    );
    assert.notEqual((await promote(house, dev, built.digest, 'production')).status, 'promoted');
    const { record } = await house.artifacts.upload(dev, {
      repository: 'acme/playground',
      name: 'acme/evil',
      version: '1',
      file: 'evil',
      body: body('evil'),
    });
    await tamper(house, `update artifact_record set kind = 'release' where id = '${record.id}'`);
    const refused = await promote(house, dev, record.digest, 'dev');
    assert.ok(codes(refused).includes('policy.publication_missing'), JSON.stringify(codes(refused)));
  });
});

test('a payload edited in the journal is found out by the ledger, and what it says does not count', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    const built = await house.build();
    const [fact] = await house.journal.read({ types: ['artifact.published'], limit: 1 });
    const edit = `update journal_payload set private = replace(private, '${built.version}', '9-abcdef01')`;
    await tamper(house, `${edit} where number = ${fact!.number}`);
    const refused = await promote(house, dev, built.digest, 'dev');
    assert.deepEqual([refused.status, codes(refused)], ['refused', ['policy.publication_not_in_ledger']]);
  });
});

test('a provenance bundle that is gone or altered on the disk refuses the promotion', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    const built = await house.build();
    await damage(house, built.provenance);
    const refused = await promote(house, dev, built.digest, 'dev');
    assert.equal(refused.status, 'refused');
    assert.ok(codes(refused).includes('policy.not_attested'));
  });
});

test('strangers learn nothing about promotions and request none', async () => {
  await withHouse(async (house) => {
    const dev = await house.person('ann', 'developer');
    const built = await house.build();
    const promotion = await promote(house, dev, built.digest, 'dev');
    const stranger = await house.person('eve');
    await assert.rejects(house.releases.promotion(stranger, promotion.id), codeIs('release.promotion_not_found'));
    await assert.rejects(promote(house, stranger, built.digest, 'dev'), codeIs('identity.forbidden'));
    await assert.rejects(
      promote(house, await house.person('rea', 'reader'), built.digest, 'dev'),
      codeIs('identity.forbidden'),
    );
    await assert.rejects(promote(house, dev, digestOf('nothing'), 'dev'), codeIs('artifact.not_found'));
    await assert.rejects(promote(house, dev, built.digest, 'moon'), codeIs('release.environment_not_found'));
  });
});

test('a promotion is not decided by a policy that was replaced while its summary was signed', async () => {
  await withHouse(async (house) => {
    const author = await house.person('ann', 'developer');
    const built = await house.build({ author: author.principal });
    const before = await house.releases.environment(author, 'acme', 'dev');
    const sign = house.attest.sign.bind(house.attest);
    let changed = false;
    house.attest.sign = async (request) => {
      const signed = await sign(request);
      if (!changed && request.predicateType.includes('verification_summary')) {
        changed = true;
        const rules = before.policy.rules.filter(({ kind }) => kind !== 'approvals');
        const approvals = { kind: 'approvals' as const, count: 1, notAuthor: true };
        await house.releases.setPolicy(house.owner, 'acme', 'dev', { ...before.policy, rules: [...rules, approvals] });
      }
      return signed;
    };
    const { id } = await house.releases.requestPromotion(author, {
      project: 'acme',
      artifact: built.digest,
      to: 'dev',
    });
    await house.journal.idle();
    assert.equal(changed, true);
    assert.equal((await house.releases.promotion(author, id)).status, 'waiting');
    const approver = await house.person('bob', 'release-approver');
    await house.releases.approve(approver, id);
    await house.journal.idle();
    const promoted = await house.releases.promotion(author, id);
    const after = await house.releases.environment(author, 'acme', 'dev');
    assert.equal(promoted.status, 'promoted', JSON.stringify(promoted.checks));
    assert.equal(promoted.policyDigest, after.policyDigest);
    const { bytes } = await house.attest.requireBundle(promoted.summary!);
    const { dsseEnvelope } = JSON.parse(bytes.toString()) as { dsseEnvelope: { payload: string } };
    const statement = Buffer.from(dsseEnvelope.payload, 'base64').toString();
    assert.match(statement, new RegExp(after.policyDigest.slice('sha256:'.length)));
  });
});

test('an artifact that is crowded with bundles is refused, and holds up nobody else’s promotion', async () => {
  await withHouse(async (house) => {
    const author = await house.person('ann', 'developer');
    const crowded = await house.build({ author: author.principal });
    const other = await house.build({ author: author.principal });
    const bundlesFor = house.attest.bundlesFor.bind(house.attest);
    house.attest.bundlesFor = async (subject) => {
      if (subject !== crowded.digest) return await bundlesFor(subject);
      throw new Problem({ code: 'attest.too_many_bundles', kind: 'limited', message: 'Too many.', hint: '' });
    };
    await house.releases.requestPromotion(author, { project: 'acme', artifact: crowded.digest, to: 'staging' });
    await promoteTo(house, author, other.digest, 'dev');
    const { items } = await house.releases.promotions(author, { project: 'acme', digest: crowded.digest, limit: 1 });
    assert.equal(items[0]?.status, 'refused');
  });
});
