import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { digestOf, failed, hexOf, passed, Problem, verdictOf } from '#base';
import {
  decide,
  type Evidence,
  matchesPattern,
  parsePolicy,
  type PolicyDocument,
  policyDigest,
  predicateTypes,
  type Rule,
  type VerifiedAttestation,
} from './index.ts';

const host = 'https://waybill.example';
const issuer = `${host}/oidc/control`;
const verifier = `${host}/verifier/v1`;
const artifact = digestOf('the program');
const stagingDigest = digestOf('staging policy');
const stagingUri = `${host}/acme/environments/staging/acme/hello/program`;
const commit = '7fd1a60b01f91b314f59955a4e4d4e80d8edf11d';
const now = Date.parse('2026-11-21T20:00:00Z');
const good = verdictOf([passed('signature')]);
const bad = verdictOf([failed('signature', { found: 'another key' })]);

const policy: PolicyDocument = parsePolicy({
  version: 1,
  name: 'acme/production',
  rules: [
    { kind: 'release-repository' },
    {
      kind: 'trusted-builder',
      builders: [
        { id: `${host}/builders/hosted-sandbox/v1`, level: 3 },
        { id: `${host}/builders/self-hosted/v1`, level: 2 },
      ],
      minLevel: 3,
      buildTypes: [`${host}/buildtypes/workflow/v1`],
      externalParameters: ['workflow', 'inputs'],
    },
    { kind: 'signer', issuer, identities: [`${host}/acme/*/.github/workflows/*@refs/heads/main`] },
    { kind: 'source', repositories: [`${host}/acme/*`], refs: ['refs/heads/main', 'refs/tags/*'] },
    { kind: 'run-succeeded' },
    { kind: 'previous-environment', environment: 'staging', issuer, verifier },
    { kind: 'approvals', count: 1, notAuthor: true },
    { kind: 'max-age', seconds: 30 * 86_400 },
    { kind: 'required-predicates', types: [predicateTypes.provenance], issuer },
  ],
});

interface ProvenanceShape {
  buildDefinition: {
    buildType: string;
    externalParameters: Record<string, unknown>;
    resolvedDependencies: { uri: string; digest: Record<string, string> }[];
  };
  runDetails: { builder: { id: string }; metadata: { invocationId: string; finishedOn: string } };
}

const provenance = (change: (predicate: ProvenanceShape) => void = () => undefined): VerifiedAttestation => {
  const predicate: ProvenanceShape = {
    buildDefinition: {
      buildType: `${host}/buildtypes/workflow/v1`,
      externalParameters: {
        workflow: { repository: `${host}/acme/hello`, path: '.github/workflows/build.yml', ref: 'refs/heads/main' },
        inputs: {},
      },
      resolvedDependencies: [{ uri: `git+${host}/acme/hello@refs/heads/main`, digest: { gitCommit: commit } }],
    },
    runDetails: {
      builder: { id: `${host}/builders/hosted-sandbox/v1` },
      metadata: { invocationId: `${host}/acme/hello/runs/1/attempts/1`, finishedOn: '2026-11-21T19:00:00Z' },
    },
  };
  change(predicate);
  return {
    bundle: digestOf('provenance bundle'),
    verdict: good,
    signer: { issuer, san: `${host}/acme/hello/.github/workflows/build.yml@refs/heads/main` },
    predicateType: predicateTypes.provenance,
    subjects: [artifact],
    predicate,
  };
};

const summary = (fields: Record<string, unknown> = {}): VerifiedAttestation => ({
  bundle: digestOf('summary bundle'),
  verdict: good,
  signer: { issuer, san: verifier },
  predicateType: predicateTypes.verificationSummary,
  subjects: [artifact],
  predicate: {
    verifier: { id: verifier },
    timeVerified: '2026-11-21T19:30:00Z',
    resourceUri: stagingUri,
    policy: { uri: `${host}/acme/policies/staging`, digest: { sha256: hexOf(stagingDigest) } },
    inputAttestations: [{ uri: `${host}/a`, digest: { sha256: hexOf(artifact) } }],
    verificationResult: 'PASSED',
    verifiedLevels: ['SLSA_BUILD_LEVEL_3'],
    ...fields,
  },
});

const evidence = (change: Partial<Evidence> = {}): Evidence => ({
  now,
  artifact: { digest: artifact, name: 'acme/hello/program', version: '1', repositoryKind: 'release' },
  publication: { fact: 9, ledger: good },
  run: { id: 'run_1', result: 'success', commit },
  attestations: [provenance(), summary()],
  requester: 'prn_ann',
  author: 'prn_bob',
  approvals: [{ principal: 'prn_cleo', kind: 'person' }],
  previous: [{ environment: 'staging', resourceUri: stagingUri, policyDigest: stagingDigest }],
  ...change,
});

const refusals = (changed: Evidence, document = policy) =>
  decide(document, changed)
    .checks.filter((check) => check.status === 'failed')
    .map((check) => check.code);

const without = (...kinds: Rule['kind'][]): PolicyDocument => ({
  ...policy,
  rules: policy.rules.filter((rule) => !kinds.includes(rule.kind)),
});

test('complete evidence is allowed, and every check of every rule is listed as passed', () => {
  const decision = decide(policy, evidence());
  assert.deepEqual(refusals(evidence()), []);
  assert.equal(decision.allowed, true);
  assert.equal(decision.checks.length, 15);
  assert.deepEqual(decision.levels, ['SLSA_BUILD_LEVEL_3']);
});

const replaced = (change: (predicate: ProvenanceShape) => void) =>
  evidence({ attestations: [provenance(change), summary()] });

/** Each: one thing wrong → the code that refuses, and the rule without which the same evidence goes through. */
const flips: [string, Evidence, string, Rule['kind']][] = [
  [
    'a playground artifact',
    evidence({ artifact: { ...evidence().artifact, repositoryKind: 'playground' } }),
    'policy.not_release_repository',
    'release-repository',
  ],
  [
    'another builder',
    replaced((predicate) => (predicate.runDetails.builder.id = `${host}/builders/laptop`)),
    'policy.builder_untrusted',
    'trusted-builder',
  ],
  [
    'a builder of a lower level',
    replaced((predicate) => (predicate.runDetails.builder.id = `${host}/builders/self-hosted/v1`)),
    'policy.builder_level_too_low',
    'trusted-builder',
  ],
  [
    'another build type',
    replaced((predicate) => (predicate.buildDefinition.buildType = 'https://other.example/type')),
    'policy.build_type_unknown',
    'trusted-builder',
  ],
  [
    'an external parameter nobody considered',
    replaced((predicate) => (predicate.buildDefinition.externalParameters['debugShell'] = true)),
    'policy.external_parameter_unknown',
    'trusted-builder',
  ],
  [
    'provenance signed under the issuer of jobs',
    evidence({
      attestations: [{ ...provenance(), signer: { ...provenance().signer, issuer: `${host}/oidc/jobs` } }, summary()],
    }),
    'policy.signer_untrusted',
    'signer',
  ],
  [
    'a ref that may not be released',
    replaced((predicate) => {
      (predicate.buildDefinition.externalParameters['workflow'] as { ref: string }).ref = 'refs/heads/spike';
    }),
    'policy.source_not_allowed',
    'source',
  ],
  [
    'a repository of somebody else',
    replaced((predicate) => {
      (predicate.buildDefinition.externalParameters['workflow'] as { repository: string }).repository =
        `${host}/evil/x`;
    }),
    'policy.source_not_allowed',
    'source',
  ],
  [
    'a statement about another workflow than the certificate was issued for',
    replaced((predicate) => {
      (predicate.buildDefinition.externalParameters['workflow'] as { path: string }).path =
        '.github/workflows/other.yml';
    }),
    'policy.signer_not_of_source',
    'source',
  ],
  [
    'a statement about another commit',
    replaced(
      (predicate) => (predicate.buildDefinition.resolvedDependencies[0]!.digest = { gitCommit: 'f'.repeat(40) }),
    ),
    'policy.commit_mismatch',
    'source',
  ],
  [
    'a failed run',
    evidence({ run: { id: 'run_1', result: 'failure', commit } }),
    'policy.run_not_succeeded',
    'run-succeeded',
  ],
  [
    'no summary of the environment before',
    evidence({ attestations: [provenance()] }),
    'policy.summary_missing',
    'previous-environment',
  ],
  [
    'a summary for another resource',
    evidence({ attestations: [provenance(), summary({ resourceUri: stagingUri.replace('staging', 'dev') })] }),
    'policy.summary_missing',
    'previous-environment',
  ],
  [
    'a summary that says FAILED',
    evidence({ attestations: [provenance(), summary({ verificationResult: 'FAILED' })] }),
    'policy.summary_failed',
    'previous-environment',
  ],
  [
    'a summary made under an older policy',
    evidence({
      previous: [{ environment: 'staging', resourceUri: stagingUri, policyDigest: digestOf('newer policy') }],
    }),
    'policy.summary_outdated',
    'previous-environment',
  ],
  [
    'a summary by another verifier',
    evidence({
      attestations: [provenance(), { ...summary(), signer: { issuer, san: `${host}/acme/hello@refs/heads/main` } }],
    }),
    'policy.summary_signer_untrusted',
    'previous-environment',
  ],
  [
    'a summary of another artifact',
    evidence({ attestations: [provenance(), { ...summary(), subjects: [digestOf('other')] }] }),
    'policy.summary_missing',
    'previous-environment',
  ],
  [
    'a summary whose bundle does not verify',
    evidence({ attestations: [provenance(), { ...summary(), verdict: bad }] }),
    'policy.summary_missing',
    'previous-environment',
  ],
  ['no approval', evidence({ approvals: [] }), 'policy.approvals_missing', 'approvals'],
  [
    'the requester’s own approval',
    evidence({ approvals: [{ principal: 'prn_ann', kind: 'person' }] }),
    'policy.approvals_missing',
    'approvals',
  ],
  [
    'the author’s approval',
    evidence({ approvals: [{ principal: 'prn_bob', kind: 'person' }] }),
    'policy.approvals_missing',
    'approvals',
  ],
  [
    'a machine’s approval',
    evidence({ approvals: [{ principal: 'prn_bot', kind: 'machine' }] }),
    'policy.approvals_missing',
    'approvals',
  ],
  ['an unknown author', evidence({ author: null }), 'policy.author_unknown', 'approvals'],
  [
    'an old build',
    replaced((predicate) => (predicate.runDetails.metadata.finishedOn = '2026-09-01T00:00:00Z')),
    'policy.build_too_old',
    'max-age',
  ],
  [
    'a build of tomorrow',
    replaced((predicate) => (predicate.runDetails.metadata.finishedOn = '2026-11-23T00:00:00Z')),
    'policy.build_from_the_future',
    'max-age',
  ],
  [
    'a required attestation that is not there',
    evidence({ attestations: [summary()] }),
    'policy.predicate_missing',
    'required-predicates',
  ],
];

for (const [what, changed, code, rule] of flips) {
  test(`${what} is refused with ${code}`, () => {
    assert.ok(refusals(changed).includes(code), refusals(changed).join(', '));
    assert.equal(decide(policy, changed).allowed, false);
  });

  test(`${what}: without the rule ${rule} that refusal is gone`, () => {
    assert.ok(!refusals(changed, without(rule)).includes(code));
  });
}

test('the refusals that only one rule makes turn into a yes without that rule', () => {
  const single = flips.filter(([, changed]) => new Set(refusals(changed)).size === 1);
  assert.ok(single.length >= 18, String(single.length));
  for (const [what, changed, , rule] of single) assert.equal(decide(without(rule), changed).allowed, true, what);
});

test('nothing counts until the ledger has the publication, whatever the rules say', () => {
  const open: PolicyDocument = { ...policy, rules: [{ kind: 'release-repository' }] };
  assert.deepEqual(refusals(evidence(), open), []);
  assert.deepEqual(refusals(evidence({ publication: null }), open), ['policy.publication_missing']);
  assert.deepEqual(refusals(evidence({ publication: { fact: 9, ledger: bad } }), open), [
    'policy.publication_not_in_ledger',
  ]);
});

test('an artifact without one verified attestation is refused, whatever the rules say', () => {
  const open: PolicyDocument = { ...policy, rules: [{ kind: 'release-repository' }] };
  const unverified = [{ ...provenance(), verdict: bad }];
  assert.deepEqual(refusals(evidence({ attestations: [] }), open), ['policy.not_attested']);
  assert.deepEqual(refusals(evidence({ attestations: unverified }), open), ['policy.not_attested']);
});

test('a second, weaker provenance does not hide behind a good one', () => {
  const weaker = provenance((predicate) => (predicate.runDetails.builder.id = `${host}/builders/laptop`));
  assert.deepEqual(refusals(evidence({ attestations: [provenance(), weaker, summary()] })), [
    'policy.builder_untrusted',
  ]);
});

test('taking evidence away never turns a refusal into a yes', () => {
  const all = flips.map(([, changed]) => changed);
  fc.assert(
    fc.property(
      fc.constantFrom(evidence(), ...all),
      fc.constantFrom(...policy.rules.map((_, index) => policy.rules.slice(0, index + 1))),
      fc.record({
        run: fc.boolean(),
        publication: fc.boolean(),
        approvals: fc.boolean(),
        kept: fc.array(fc.boolean()),
      }),
      (full, rules, take) => {
        const document = { ...policy, rules };
        const summaries = full.attestations.filter((_, index) => take.kept[index] !== false);
        const less: Evidence = {
          ...full,
          attestations: summaries,
          ...(take.run ? { run: null } : {}),
          ...(take.publication ? { publication: null } : {}),
          ...(take.approvals ? { approvals: [] } : {}),
        };
        return !decide(document, less).allowed || decide(document, full).allowed;
      },
    ),
  );
});

test('adding a rule never turns a refusal into a yes, and the order of rules does not matter', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(evidence(), ...flips.map(([, changed]) => changed)),
      fc.shuffledSubarray([...policy.rules], { minLength: 1 }),
      fc.constantFrom(...policy.rules),
      (given, rules, more) => {
        const before = decide({ ...policy, rules }, given).allowed;
        const after = decide({ ...policy, rules: [...rules, more] }, given).allowed;
        const turned = decide({ ...policy, rules: rules.toReversed() }, given).allowed;
        return (before || !after) && before === turned;
      },
    ),
  );
});

test('a policy with a rule or a field nobody knows is refused as a whole', () => {
  const refused = (value: unknown) =>
    assert.throws(
      () => parsePolicy(value),
      (error) => Problem.is(error) && error.code === 'policy.document_invalid',
    );
  refused({ ...policy, rules: [{ kind: 'anything-goes' }] });
  refused({ ...policy, rules: [{ kind: 'approvals', count: 1, notAuthor: true, exceptFor: ['prn_ann'] }] });
  refused({ ...policy, rules: [{ kind: 'approvals', count: 0, notAuthor: true }] });
  refused({ ...policy, rules: [] });
  refused({ ...policy, version: 2 });
});

test('the digest of a policy does not depend on the order of its fields, and changes with every rule', () => {
  const turned = JSON.parse(
    JSON.stringify(policy, Object.keys(policy).toReversed().concat(allKeys(policy))),
  ) as unknown;
  assert.equal(policyDigest(parsePolicy(turned)), policyDigest(policy));
  for (const rule of policy.rules) assert.notEqual(policyDigest(without(rule.kind)), policyDigest(policy));
});

const allKeys = (value: unknown): string[] =>
  value !== null && typeof value === 'object'
    ? Object.entries(value).flatMap(([key, inner]) => [key, ...allKeys(inner)])
    : [];

test('a pattern matches whole strings, and its star climbs out of nothing', () => {
  assert.ok(matchesPattern('refs/tags/*', 'refs/tags/v1.4.0'));
  assert.ok(!matchesPattern('refs/heads/main', 'refs/heads/main2'));
  assert.ok(!matchesPattern('https://a.example/*', 'https://b.example/https://a.example/x'));
  assert.ok(!matchesPattern('https://a.example/acme/*', 'https://a.example/acme/../evil'));
  assert.ok(
    !matchesPattern(
      'https://a.example/acme/*@refs/heads/main',
      'https://a.example/acme/x@refs/heads/x@refs/heads/main',
    ),
  );
  assert.ok(!matchesPattern('https://a.example/*', 'https://aXexample/x'));
  fc.assert(fc.property(fc.string(), (text) => matchesPattern(text.replaceAll('*', ''), text.replaceAll('*', ''))));
  fc.assert(
    fc.property(fc.string(), fc.string(), (pattern, text) => {
      const literal = pattern.replaceAll('*', '');
      return matchesPattern(literal, text) === (literal === text);
    }),
  );
});
