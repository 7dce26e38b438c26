import type { BelievedToken } from '#identity';
import type { IdentityExtensions } from './oid.ts';
import { nameUnsuitable } from './problems.ts';

/** Who a believed token is, as a certificate says it: one name, and Fulcio's extensions (its docs/oidc.md). Pure. */
export interface CertifiedIdentity {
  san: string;
  extensions: IdentityExtensions;
}

export function identityOf(believed: BelievedToken, publicUrl: string): CertifiedIdentity {
  const identity = namedIdentity(believed, publicUrl);
  const ours = identity.san === publicUrl || identity.san.startsWith(`${publicUrl}/`);
  // A name of ours stands for what this installation knows; an outsider's word is not that.
  if (believed.kind === 'external' && ours) throw nameUnsuitable(identity.san);
  if (!/^[\x21-\x7e]{1,2048}$/.test(identity.san)) throw nameUnsuitable(identity.san);
  return { ...identity, extensions: { ...identity.extensions, tokenSubject: believed.subject } };
}

function namedIdentity(believed: BelievedToken, publicUrl: string): CertifiedIdentity {
  const { claims, issuer, subject } = believed;
  if (believed.kind === 'person') return { san: `${publicUrl}/people/${encodeURIComponent(subject)}`, extensions: {} };
  if (believed.kind === 'job') return workflowIdentity(claims, publicUrl);
  switch (believed.issuerKind) {
    case 'github':
      return workflowIdentity(claims, githubServer(issuer));
    case 'gitlab':
      return pipelineIdentity(claims, new URL(issuer).origin);
    case 'kubernetes': {
      const [, namespace, name] = /^system:serviceaccount:([a-z0-9.-]+):([a-z0-9.-]+)$/.exec(subject) ?? [];
      if (namespace === undefined || name === undefined) throw nameUnsuitable(subject);
      return { san: `https://kubernetes.io/namespaces/${namespace}/serviceaccounts/${name}`, extensions: {} };
    }
    default:
      return { san: subjectUri(subject, issuer), extensions: {} };
  }
}

/** github.com issues from another host than it serves from; an enterprise server from its own. */
const githubServer = (issuer: string) =>
  issuer === 'https://token.actions.githubusercontent.com' ? 'https://github.com' : new URL(issuer).origin;

/** A subject that is an address on the issuer's own host stands for itself; any other is told apart below the issuer. */
function subjectUri(subject: string, issuer: string): string {
  const url = URL.canParse(subject) ? new URL(subject) : undefined;
  if (url?.protocol === 'https:' && url.host === new URL(issuer).host) return subject;
  return `${issuer.replace(/\/$/, '')}/subjects/${encodeURIComponent(subject)}`;
}

/** Tokens in GitHub's form: GitHub's, and those of our own jobs. */
function workflowIdentity(claims: Readonly<Record<string, unknown>>, server: string): CertifiedIdentity {
  const text = textOf(claims);
  const under = (name: string) => prefixed(`${server}/`, text(name));
  const repository = under('repository');
  const run = text('run_id');
  return {
    san: required(under('job_workflow_ref'), 'job_workflow_ref'),
    extensions: present({
      buildSignerUri: under('job_workflow_ref'),
      buildSignerDigest: text('job_workflow_sha'),
      runnerEnvironment: text('runner_environment'),
      sourceRepositoryUri: repository,
      sourceRepositoryDigest: text('sha'),
      sourceRepositoryRef: text('ref'),
      sourceRepositoryIdentifier: text('repository_id'),
      sourceRepositoryOwnerUri: under('repository_owner'),
      sourceRepositoryOwnerIdentifier: text('repository_owner_id'),
      buildConfigUri: under('workflow_ref'),
      buildConfigDigest: text('workflow_sha'),
      buildTrigger: text('event_name'),
      runInvocationUri:
        run === undefined ? undefined : `${repository}/actions/runs/${run}/attempts/${text('run_attempt') ?? '1'}`,
      sourceRepositoryVisibilityAtSigning: text('repository_visibility'),
      deploymentEnvironment: text('environment'),
    }),
  };
}

function pipelineIdentity(claims: Readonly<Record<string, unknown>>, server: string): CertifiedIdentity {
  const text = textOf(claims);
  const project = prefixed(`${server}/`, text('project_path'));
  const config = prefixed('https://', text('ci_config_ref_uri'));
  const job = text('job_id');
  return {
    san: required(config, 'ci_config_ref_uri'),
    extensions: present({
      buildSignerUri: config,
      buildSignerDigest: text('ci_config_sha'),
      runnerEnvironment: text('runner_environment'),
      sourceRepositoryUri: project,
      sourceRepositoryDigest: text('sha'),
      sourceRepositoryRef: text('ref_path'),
      sourceRepositoryIdentifier: text('project_id'),
      sourceRepositoryOwnerUri: prefixed(`${server}/`, text('namespace_path')),
      sourceRepositoryOwnerIdentifier: text('namespace_id'),
      buildConfigUri: config,
      buildConfigDigest: text('ci_config_sha'),
      buildTrigger: text('pipeline_source'),
      runInvocationUri: job === undefined ? undefined : `${project}/-/jobs/${job}`,
      sourceRepositoryVisibilityAtSigning: text('project_visibility'),
      deploymentEnvironment: text('environment'),
    }),
  };
}

const CLAIM_CHARS_MAX = 1024;

const textOf = (claims: Readonly<Record<string, unknown>>) => (name: string) => {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
  return typeof value === 'string' && value !== '' && value.length <= CLAIM_CHARS_MAX ? value : undefined;
};

const prefixed = (prefix: string, text: string | undefined) => (text === undefined ? undefined : prefix + text);

function required(text: string | undefined, claim: string): string {
  if (text === undefined) throw nameUnsuitable(`a token without ${claim}`);
  return text;
}

function present(extensions: Readonly<Record<string, string | undefined>>): IdentityExtensions {
  return Object.fromEntries(Object.entries(extensions).filter(([, value]) => value !== undefined));
}

/**
 * The highest SLSA build level that provenance by this signer can have. Only what the control plane signs about its own hosted
 * builds is level 3: everybody else signs where the build itself could reach the key. A signature of a person says that there is
 * provenance, and no more.
 */
export function buildLevelOf(
  signer: { issuer: string; extensions?: Readonly<Partial<Record<string, string>>> },
  publicUrl: string,
): 1 | 2 | 3 {
  const environment = signer.extensions?.['runnerEnvironment'];
  if (signer.issuer === `${publicUrl}/oidc/control`) return environment === 'self-hosted' ? 2 : 3;
  return environment === 'github-hosted' || environment === 'gitlab-hosted' ? 2 : 1;
}
