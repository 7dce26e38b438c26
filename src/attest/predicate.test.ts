import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Problem } from '#base';
import { buildLevelOf, identityOf } from './claims.ts';
import {
  approvalClaim,
  billOfMaterialsClaim,
  checkPredicate,
  deploymentClaim,
  predicateSchema,
  simpleVerificationClaim,
  testResultClaim,
  vulnerabilitiesClaim,
} from './predicate.ts';

const URL_ = 'https://waybill.example.com';
const refusal = (code: string) => (error: unknown) => Problem.is(error) && error.code === code;
const invalid = refusal('attest.predicate_invalid');
const NOW = Date.UTC(2026, 10, 21);
const when = new Date(NOW).toISOString();

describe('claims of known kinds', () => {
  test('are made with their type', () => {
    assert.equal(
      testResultClaim({ result: 'PASSED', configuration: [{ name: 'ci.yml' }] }).predicateType,
      'https://in-toto.io/attestation/test-result/v0.1',
    );
    const svr = simpleVerificationClaim(`${URL_}/verifier/v1`, ['WAYBILL_SECRET_SCAN_CLEAN'], NOW);
    assert.deepEqual(svr.predicate['properties'], ['WAYBILL_SECRET_SCAN_CLEAN']);
    assert.equal(
      billOfMaterialsClaim({ bomFormat: 'CycloneDX', specVersion: '1.6' }).predicateType,
      'https://cyclonedx.org/bom',
    );
    assert.equal(billOfMaterialsClaim({ spdxVersion: 'SPDX-2.3' }).predicateType, 'https://spdx.dev/Document');
    const scan = {
      scanner: { uri: 'pkg:npm/scanner', db: {}, result: [] },
      metadata: { scanStartedOn: when, scanFinishedOn: when },
    };
    assert.equal(vulnerabilitiesClaim(scan).predicateType, 'https://in-toto.io/attestation/vulns/v0.2');
    const approval = {
      approver: { id: `${URL_}/people/prn_1` },
      decision: 'APPROVED' as const,
      request: { uri: `${URL_}/acme/production` },
      approvedOn: when,
    };
    assert.equal(approvalClaim(URL_, approval).predicateType, `${URL_}/attestations/approval/v1`);
    const deployment = {
      deployer: { id: `${URL_}/agents/a` },
      environment: { uri: `${URL_}/acme/production` },
      workload: { kind: 'service', name: 'hello' },
      decision: 'ALLOWED' as const,
      startedOn: when,
    };
    assert.equal(deploymentClaim(URL_, deployment).predicateType, `${URL_}/attestations/deployment/v1`);
  });

  const wrong: [string, unknown][] = [
    ['https://in-toto.io/attestation/test-result/v0.1', { result: 'GREEN', configuration: [] }],
    ['https://in-toto.io/attestation/test-result/v0.1', { result: 'PASSED', configuration: [{}] }],
    ['https://in-toto.io/attestation/svr/v0.2', { verifier: { id: 'x' }, timeCreated: when, properties: [] }],
    ['https://slsa.dev/verification_summary/v1', { verificationResult: 'PASSED' }],
    ['https://cyclonedx.org/bom', { bomFormat: 'SPDX' }],
    ['https://spdx.dev/Document', { spdxVersion: 'SPDX-3.0' }],
    ['https://in-toto.io/attestation/vulns/v0.2', { scanner: {} }],
    [`${URL_}/attestations/approval/v1`, { decision: 'APPROVED' }],
    [`${URL_}/attestations/deployment/v1`, { decision: 'ALLOWED', extra: 1 }],
    ['https://example.com/anything', 'text'],
    ['https://example.com/anything', null],
  ];
  for (const [type, predicate] of wrong) {
    test(`are refused when they are not of their kind: ${type} ${JSON.stringify(predicate)}`, () => {
      assert.throws(() => checkPredicate(type, predicate), invalid);
    });
  }

  test('of unknown kinds are their author’s', () => {
    assert.deepEqual(checkPredicate('https://example.com/x', { a: 1 }), { a: 1 });
    assert.throws(() => billOfMaterialsClaim({ some: 'json' }), invalid);
  });

  test('of ours have a published schema', () => {
    const schema = predicateSchema('deployment', URL_);
    assert.equal(schema['$id'], `${URL_}/attestations/deployment/v1/schema.json`);
    assert.equal(schema['additionalProperties'], false);
    assert.ok((schema['required'] as string[]).includes('decision'));
  });
});

describe('names in certificates', () => {
  const base = { id: '0'.repeat(64), expiresAt: NOW, rule: { name: 'r', generation: 1 }, kind: 'external' as const };
  const believed = (
    issuer: string,
    issuerKind: 'github' | 'gitlab' | 'kubernetes' | 'generic',
    subject: string,
    claims = {},
  ) => ({
    ...base,
    issuer,
    issuerKind,
    subject,
    claims,
  });

  test('are made as Fulcio makes them', () => {
    const github = identityOf(
      believed('https://token.actions.githubusercontent.com', 'github', 'repo:acme/web:ref:refs/heads/main', {
        job_workflow_ref: 'acme/ci/.github/workflows/x.yml@refs/tags/v1',
        repository: 'acme/web',
        repository_id: '7',
        run_id: '9',
        run_attempt: '2',
        runner_environment: 'github-hosted',
      }),
      URL_,
    );
    assert.equal(github.san, 'https://github.com/acme/ci/.github/workflows/x.yml@refs/tags/v1');
    assert.equal(github.extensions.runInvocationUri, 'https://github.com/acme/web/actions/runs/9/attempts/2');
    assert.equal(github.extensions.sourceRepositoryIdentifier, '7');
    const gitlab = identityOf(
      believed('https://gitlab.example', 'gitlab', 'project_path:a/b', {
        ci_config_ref_uri: 'gitlab.example/a/b//.gitlab-ci.yml@refs/heads/main',
        project_path: 'a/b',
        job_id: '5',
      }),
      URL_,
    );
    assert.equal(gitlab.san, 'https://gitlab.example/a/b//.gitlab-ci.yml@refs/heads/main');
    assert.equal(gitlab.extensions.runInvocationUri, 'https://gitlab.example/a/b/-/jobs/5');
    const pod = identityOf(believed('https://k8s.example', 'kubernetes', 'system:serviceaccount:prod:web'), URL_);
    assert.equal(pod.san, 'https://kubernetes.io/namespaces/prod/serviceaccounts/web');
    assert.equal(
      identityOf(believed('https://ci.example', 'generic', 'https://ci.example/job/1'), URL_).san,
      'https://ci.example/job/1',
    );
  });

  test('an outsider never gets a name of ours, nor one that a certificate cannot hold', () => {
    const unsuitable = refusal('attest.name_unsuitable');
    const make = (kind: 'github' | 'gitlab' | 'kubernetes' | 'generic', subject: string, claims = {}) =>
      assert.throws(
        () => identityOf(believed(kind === 'generic' ? URL_ : 'https://x.example', kind, subject, claims), URL_),
        unsuitable,
      );
    make('generic', `${URL_}/verifier/v1`);
    make('gitlab', 'x', { ci_config_ref_uri: 'waybill.example.com/acme/web/.github/workflows/x.yml@main' });
    make('github', 'x', {});
    make('github', 'x', { job_workflow_ref: 'a b' });
    make('kubernetes', 'system:node:x');
  });

  test('no subject makes a name outside of its issuer', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (subject) => {
        try {
          const { san } = identityOf(believed('https://ci.example', 'generic', subject), URL_);
          assert.equal(new URL(san).host, 'ci.example');
        } catch (error) {
          assert.ok(Problem.is(error) || error instanceof URIError, String(error));
        }
      }),
    );
  });
});

test('only the control plane reaches level 3', () => {
  const level = (issuer: string, runnerEnvironment?: string) =>
    buildLevelOf({ issuer, extensions: runnerEnvironment === undefined ? {} : { runnerEnvironment } }, URL_);
  assert.equal(level(`${URL_}/oidc/control`, 'platform-hosted'), 3);
  assert.equal(level(`${URL_}/oidc/control`, 'self-hosted'), 2);
  assert.equal(level(`${URL_}/oidc/jobs`, 'platform-hosted'), 1);
  assert.equal(level(`${URL_}/oidc/people`), 1);
  assert.equal(level('https://token.actions.githubusercontent.com', 'github-hosted'), 2);
  assert.equal(level('https://token.actions.githubusercontent.com', 'self-hosted'), 1);
  assert.equal(level('https://gitlab.example', 'gitlab-hosted'), 2);
  assert.equal(level('https://jenkins.example'), 1);
});
