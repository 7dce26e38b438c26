import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import type { Client } from '#client';
import { releaseContract } from '#release';
import type { Invocation, Outcome, Run } from './command.ts';
import { withClient } from './connect.ts';
import type { ExitName } from './exit.ts';
import { renderChecks, renderFields, renderTable, renderTime, shortDigest } from './output.ts';
import { startProgress } from './progress.ts';
import { parseDuration } from './token.ts';

type Promotion = z.output<typeof releaseContract.PromotionView>;

/** How long to wait for the decision unless told; it follows the evidence within a second or two. */
const DECISION_WAIT_MS = 30_000;
const POLL_MS = 200;
/** Until then a decision that needs nobody has been made. */
const REFUSAL_MS = 1_500;

const ANSWERS: Readonly<Record<Promotion['status'], { exit: ExitName; sentence: (to: string) => string }>> = {
  promoted: { exit: 'yes', sentence: (to) => `✓ promoted to ${to}` },
  refused: { exit: 'no', sentence: (to) => `✗ refused for ${to}` },
  waiting: { exit: 'pending', sentence: (to) => `… waiting for ${to}` },
};

export const requestPromotion: Run = async (invocation) => {
  const artifact = invocation.required('artifact');
  const project = invocation.flag('project') ?? artifact.split('/')[0] ?? '';
  const comment = invocation.flag('comment');
  const body = { artifact, to: invocation.flag('to') ?? '', ...(comment === undefined ? {} : { comment }) };
  const promotion = await withClient(invocation, async (client) => {
    const requested = await client.call(releaseContract.requestPromotion, { params: { project }, body });
    return await awaitDecision(invocation, client, requested);
  });
  return outcomeOf(invocation, promotion);
};

export const approvePromotion: Run = async (invocation) => {
  const comment = invocation.flag('comment');
  const promotion = await withClient(invocation, async (client) => {
    const approved = await client.call(releaseContract.approvePromotion, {
      params: { promotion: invocation.required('promotion') },
      body: comment === undefined ? {} : { comment },
    });
    return await awaitDecision(invocation, client, approved);
  });
  return outcomeOf(invocation, promotion);
};

/** Until it is decided or needs somebody else: a promotion that only waits for an approval is answered at once. */
async function awaitDecision(invocation: Invocation, client: Client, first: Promotion): Promise<Promotion> {
  if (invocation.isSet('no-wait')) return first;
  const waitMs = parseWait(invocation);
  const progress = startProgress(invocation.terminal, `Waiting for the decision on ${first.name}@${first.version}`);
  const until = Date.now() + waitMs;
  const refusedBy = Date.now() + REFUSAL_MS;
  try {
    for (let promotion = first; ;) {
      if (promotion.status !== 'waiting' || Date.now() >= until) return promotion;
      // A refusal comes at once; what still waits then, and lacks an approval, waits for a person.
      if (Date.now() > refusedBy && (await lacksApproval(client, promotion))) return promotion;
      await sleep(POLL_MS);
      promotion = await client.call(releaseContract.showPromotion, { params: { promotion: first.id } });
    }
  } finally {
    progress.stop();
  }
}

function parseWait(invocation: Invocation): number {
  const text = invocation.flag('wait');
  return text === undefined ? DECISION_WAIT_MS : parseDuration(text) * 1000;
}

async function lacksApproval(client: Client, promotion: Promotion): Promise<boolean> {
  const params = { project: promotion.name.split('/')[0] ?? '', environment: promotion.environment };
  const { policy } = await client.call(releaseContract.showEnvironment, { params });
  const needed = policy.rules.flatMap((rule) => (rule.kind === 'approvals' ? [rule.count] : []));
  return promotion.approvals.length < Math.max(0, ...needed);
}

export const showPromotion: Run = async (invocation) => {
  const promotion = await withClient(invocation, (client) =>
    client.call(releaseContract.showPromotion, { params: { promotion: invocation.required('promotion') } }),
  );
  return outcomeOf(invocation, promotion);
};

function outcomeOf(invocation: Invocation, promotion: Promotion): Outcome {
  const { exit, sentence } = ANSWERS[promotion.status];
  const fields = renderFields(invocation.terminal, [
    ['promotion', promotion.id],
    ['artifact', `${promotion.name}@${promotion.version}`],
    ['digest', promotion.digest],
    ['requested', renderTime(promotion.requestedAt)],
    ['decided', renderTime(promotion.decidedAt)],
    ['approvals', promotion.approvals.map((approval) => approval.principal).join(', ')],
    ['summary', promotion.summary],
    ['comment', promotion.comment],
  ]);
  const checks = renderChecks(invocation.terminal, promotion.checks);
  const next =
    exit === 'pending' ? `Next: waybill promote approve ${promotion.id}   (somebody else than the requester)` : '';
  return {
    document: promotion,
    text: [sentence(promotion.environment), fields, checks, next].filter((part) => part !== '').join('\n'),
    exit,
  };
}

export const listPromotions: Run = async (invocation) => {
  const environment = invocation.flag('environment');
  const page = await withClient(invocation, (client) =>
    client.call(releaseContract.listPromotions, {
      params: { project: invocation.required('project') },
      query: environment === undefined ? {} : { environment },
    }),
  );
  const columns = [
    { title: 'PROMOTION', cell: (one: Promotion) => one.id },
    { title: 'ARTIFACT', cell: (one: Promotion) => `${one.name}@${one.version}` },
    { title: 'TO', cell: (one: Promotion) => one.environment },
    { title: 'STATE', cell: (one: Promotion) => one.status },
    { title: 'REQUESTED', cell: (one: Promotion) => renderTime(one.requestedAt) },
  ];
  const empty = 'No promotion. Next: waybill promote request PROJECT/NAME@VERSION --to dev';
  return { document: page, text: renderTable(invocation.terminal, page.items, columns, empty) };
};

export const listEnvironments: Run = async (invocation) => {
  const page = await withClient(invocation, (client) =>
    client.call(releaseContract.listEnvironments, { params: { project: invocation.required('project') } }),
  );
  type Environment = (typeof page.items)[number];
  const columns = [
    { title: 'ENVIRONMENT', cell: (one: Environment) => one.name },
    { title: 'RULES', cell: (one: Environment) => one.policy.rules.map((rule) => rule.kind).join(', ') },
    { title: 'POLICY', cell: (one: Environment) => `version ${one.policyVersion}` },
  ];
  const text = renderTable(invocation.terminal, page.items, columns, 'No environment.');
  return { document: page, text };
};

export const showEnvironment: Run = async (invocation) => {
  const [project = '', environment = ''] = invocation.required('environment').split('/');
  const found = await withClient(invocation, (client) =>
    client.call(releaseContract.showEnvironment, { params: { project, environment } }),
  );
  const fields = renderFields(invocation.terminal, [
    ['environment', `${project}/${found.name}`],
    ['policy', `version ${found.policyVersion}, ${found.policyDigest}`],
    ['rules', found.policy.rules.map((rule) => rule.kind).join(', ')],
  ]);
  const columns = [
    { title: 'PROMISED', cell: (one: Promotion) => `${one.name}@${one.version}` },
    { title: 'DIGEST', cell: (one: Promotion) => shortDigest(one.digest) },
    { title: 'SINCE', cell: (one: Promotion) => renderTime(one.decidedAt) },
  ];
  const desired = renderTable(invocation.terminal, found.desired, columns, 'Nothing was promoted here yet.');
  return { document: found, text: `${fields}\n\n${desired}` };
};
