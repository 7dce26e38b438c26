import type { Fact, Follower, Journal } from '#journal';
import { systemActor } from '#journal';
import { policyDigest } from '#policy';
import { environmentId, seededEnvironments, seededPolicy } from './environment.ts';
import { environmentCreated } from './facts.ts';

export interface SeederOptions {
  journal: Journal;
  publicUrl: string;
  onError?: (error: unknown, fact: Fact) => void;
}

/** Gives every new project its environments. */
export function startSeeder(options: SeederOptions): Follower {
  return options.journal.follow({
    name: 'release.seeder',
    types: ['identity.project_created'],
    handle: (fact) => seed(options, fact.payload as { project: string; slug: string }),
    ...(options.onError ? { onError: options.onError } : {}),
  });
}

async function seed(options: SeederOptions, { project, slug }: { project: string; slug: string }): Promise<void> {
  const { journal, publicUrl } = options;
  const first = environmentId(project, seededEnvironments[0]);
  // All of them are one transaction, so one that is there says that all are.
  if ((await journal.byStream(`environment/${first}`)).length > 0) return;
  await journal.recordAll(
    seededEnvironments.map((name, index) => {
      const environment = environmentId(project, name);
      const policy = seededPolicy(publicUrl, slug, name);
      return {
        fact: environmentCreated,
        stream: `environment/${environment}`,
        expectSeq: 0,
        actor: systemActor('release.seeder'),
        payload: { environment, project, name, position: index + 1, policy, policyDigest: policyDigest(policy) },
      };
    }),
  );
}
