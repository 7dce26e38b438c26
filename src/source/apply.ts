import { type ModuleDefinition, onFact } from '#journal';
import * as facts from './facts.ts';
import { migrations } from './migrations.ts';
import {
  forgetCommits,
  insertCommit,
  insertNonce,
  insertPush,
  insertRepository,
  insertUpdate,
  moveRef,
  undoPush,
  updateSettings,
} from './store.ts';

export const sourceModule: ModuleDefinition = {
  name: 'source',
  migrations,
  facts: [facts.repositoryCreated, facts.settingsChanged, facts.pushAccepted, facts.pushRefused, facts.pushAborted],
  apply: {
    'source.repository_created': onFact(facts.repositoryCreated, (tx, payload, fact) =>
      insertRepository(tx, {
        id: payload.repository,
        project_id: payload.project,
        name: payload.name,
        protected_paths: JSON.stringify(payload.protectedPaths),
        push_certificates: payload.pushCertificates,
        created_at: fact.at,
        created_by: fact.actor.principal,
      }),
    ),
    'source.settings_changed': onFact(facts.settingsChanged, (tx, payload) =>
      updateSettings(tx, payload.repository, payload),
    ),
    'source.push_accepted': onFact(facts.pushAccepted, async (tx, payload, fact) => {
      const { push, repository, pusher, updates, certificate, certificateNonce } = payload;
      const checks = asChecks(payload.checks);
      await insertPush(tx, {
        id: push,
        repository,
        pusher,
        state: 'accepted',
        at: fact.at,
        fact: fact.number,
        updates,
        checks,
        certificate,
        reason: null,
      });
      for (const update of updates) {
        await moveRef(tx, repository, update, push);
        await insertUpdate(tx, repository, update, push);
      }
      for (const { ref, commit } of payload.tagged) {
        await insertUpdate(tx, repository, { ref, old: commit, new: commit }, push);
      }
      for (const commit of payload.commits) await insertCommit(tx, repository, { ...commit, push });
      if (certificateNonce !== null) await insertNonce(tx, repository, certificateNonce, push);
    }),
    'source.push_refused': onFact(facts.pushRefused, (tx, payload, fact) =>
      insertPush(tx, {
        id: payload.push,
        repository: payload.repository,
        pusher: payload.pusher,
        state: 'refused',
        at: fact.at,
        fact: fact.number,
        updates: payload.updates,
        checks: asChecks(payload.checks),
        certificate: null,
        reason: null,
      }),
    ),
    'source.push_aborted': onFact(facts.pushAborted, async (tx, payload) => {
      await undoPush(tx, payload.repository, payload.push, payload.updates, payload.reason);
      await forgetCommits(tx, payload.push);
    }),
  },
};

/** The schema's optional members may be undefined; a check's are absent. */
function asChecks(checks: facts.PushAccepted['checks']) {
  return checks.map(({ name, status, ...notes }) => ({
    name,
    status,
    ...Object.fromEntries(Object.entries(notes).filter(([, value]) => value !== undefined)),
  }));
}
