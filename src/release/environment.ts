import { digestOf, hexOf, idFrom } from '#base';
import type { PolicyDocument } from '#policy';

/** The environments every project has from its first moment, in the order an artifact passes them. */
export const seededEnvironments = ['dev', 'staging', 'production'] as const;

/** The same project and name give the same id, so that seeding twice names one thing. */
export function environmentId(project: string, name: string): string {
  return idFrom('env', Buffer.from(hexOf(digestOf(`${project}\n${name}`)), 'hex'));
}

/** What verification summaries for this environment are about. The agent of the environment expects exactly this. */
export function resourceUri(publicUrl: string, project: string, environment: string, name: string): string {
  return `${publicUrl}/${project}/environments/${environment}/${name}`;
}

export function policyUri(publicUrl: string, project: string, environment: string, version: number): string {
  return `${publicUrl}/${project}/environments/${environment}/policy@${version}`;
}

/** Who signs provenance and summaries, and how the builder is called. One place, because agents pin these strings. */
export function identities(publicUrl: string) {
  return {
    issuer: `${publicUrl}/oidc/control`,
    verifier: `${publicUrl}/verifier/v1`,
    builder: `${publicUrl}/builders/hosted-sandbox/v1`,
    buildType: `${publicUrl}/buildtypes/workflow/v1`,
  };
}

const DAY_SECONDS = 86_400;
/** A build older than this is built again before it goes to production, with today's tools and today's checks. */
const BUILD_HORIZON_SECONDS = 90 * DAY_SECONDS;
/** What our build type lets a caller decide: nothing but which workflow at which ref. */
const EXTERNAL_PARAMETERS = ['workflow'];
const ANY_REF = ['refs/heads/*', 'refs/tags/*'];
const RELEASE_REFS = ['refs/heads/main', 'refs/tags/*'];

/** The policy an environment starts with: strict, and stricter the nearer it is to production. */
export function seededPolicy(
  publicUrl: string,
  project: string,
  environment: (typeof seededEnvironments)[number],
): PolicyDocument {
  const { issuer, verifier, builder, buildType } = identities(publicUrl);
  const refs = environment === 'dev' ? ANY_REF : RELEASE_REFS;
  const common: PolicyDocument['rules'] = [
    { kind: 'release-repository' },
    {
      kind: 'trusted-builder',
      builders: [{ id: builder, level: 3 }],
      minLevel: 3,
      buildTypes: [buildType],
      externalParameters: EXTERNAL_PARAMETERS,
    },
    {
      kind: 'signer',
      issuer,
      identities: refs.map((ref) => `${publicUrl}/${project}/*/.github/workflows/*@${ref}`),
    },
    { kind: 'source', repositories: [`${publicUrl}/${project}/*`], refs },
    { kind: 'run-succeeded' },
  ];
  const previous = { dev: undefined, staging: 'dev', production: 'staging' }[environment];
  if (previous) common.push({ kind: 'previous-environment', environment: previous, issuer, verifier });
  if (environment === 'production') {
    common.push({ kind: 'approvals', count: 1, notAuthor: true }, { kind: 'max-age', seconds: BUILD_HORIZON_SECONDS });
  }
  return { version: 1, name: `${project}/${environment}`, rules: common };
}
