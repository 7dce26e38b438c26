import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePolicy, policyDigest } from '#policy';
import { environmentId, resourceUri, seededEnvironments, seededPolicy } from './environment.ts';

const publicUrl = 'https://waybill.example';

test('the seeded policies are valid, differ, and ask for more the nearer they are to production', () => {
  const policies = seededEnvironments.map((name) => parsePolicy(seededPolicy(publicUrl, 'acme', name)));
  assert.equal(new Set(policies.map(policyDigest)).size, 3);
  const kinds = policies.map(({ rules }) => rules.map(({ kind }) => kind));
  for (const kind of kinds[0]!) assert.ok(kinds[2]!.includes(kind), kind);
  assert.ok(!kinds[0]!.includes('previous-environment'));
  assert.ok(kinds[1]!.includes('previous-environment') && !kinds[1]!.includes('approvals'));
  assert.ok(kinds[2]!.includes('approvals') && kinds[2]!.includes('max-age'));
});

test('ids follow from project and name; what a summary is about names project, environment and artifact', () => {
  assert.equal(environmentId('prj_a', 'dev'), environmentId('prj_a', 'dev'));
  const ids = ['prj_a', 'prj_b'].flatMap((project) => seededEnvironments.map((name) => environmentId(project, name)));
  assert.equal(new Set(ids).size, 6);
  assert.equal(
    resourceUri(publicUrl, 'acme', 'dev', 'acme/hello/program'),
    'https://waybill.example/acme/environments/dev/acme/hello/program',
  );
});
