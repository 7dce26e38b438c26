import { z } from 'zod';

const Text = z.string().min(1).max(500);

/** What a token of a job says, in GitHub's names, so that everything that reads GitHub's tokens reads ours. */
export const JobClaims = z.strictObject({
  repository: Text,
  repository_id: Text,
  repository_owner: Text,
  repository_owner_id: Text,
  repository_visibility: z.enum(['public', 'internal', 'private']),
  ref: Text,
  ref_type: z.enum(['branch', 'tag']),
  sha: z.string().regex(/^[0-9a-f]{40,64}$/),
  event_name: Text,
  environment: Text.optional(),
  actor: Text,
  actor_id: Text,
  workflow: Text,
  workflow_ref: Text,
  workflow_sha: z.string().regex(/^[0-9a-f]{40,64}$/),
  job_workflow_ref: Text,
  job_workflow_sha: z.string().regex(/^[0-9a-f]{40,64}$/),
  run_id: Text,
  run_attempt: Text,
  runner_environment: z.enum(['platform-hosted', 'self-hosted']),
});
export type JobClaims = z.infer<typeof JobClaims>;

/** GitHub's form since 2026, with ids beside the names: a name can be given to somebody else, an id cannot. */
export function jobSubject(claims: JobClaims): string {
  const name = (text: string) => text.replaceAll('%', '%25').replaceAll(':', '%3A').replaceAll('@', '%40');
  const repository = claims.repository.slice(claims.repository.indexOf('/') + 1);
  const what = claims.environment === undefined ? `ref:${name(claims.ref)}` : `environment:${name(claims.environment)}`;
  return `repo:${name(claims.repository_owner)}@${name(claims.repository_owner_id)}/${name(repository)}@${name(claims.repository_id)}:${what}`;
}
