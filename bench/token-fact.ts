import { identityModule } from '#identity';
import type { Actor, Draft } from '#journal';

const definition = identityModule.facts.find((fact) => fact.type === 'identity.token_issued');

/** A fact of the product's own, as signing in leaves it, for a token nobody has. */
export function tokenIssuedFact(token: string, hash: string, actor: Actor): Draft {
  if (!definition) throw new Error('identity declares no token_issued fact');
  return {
    fact: definition,
    stream: `token/${token}`,
    actor,
    payload: {
      token,
      principal: 'prn_bench',
      purpose: 'access',
      hash,
      label: 'bench',
      expiresAt: 0,
      networks: [],
      limits: { project: null, permissions: null },
    },
  };
}
