import { type Clock, Problem } from '#base';
import type { Db } from '#storage';
import { type Caller, decide, type Decision, type Scope } from './decision.ts';
import { parseNetworks } from './network.ts';
import { findPrincipal, findProject, grantsOf } from './store.ts';

/** Controls that a drill may switch off, on a throw-away server, to show that its attack then succeeds. */
export interface IdentityControls {
  authorization: boolean;
  /** Tokens end at their time. */
  tokenExpiry: boolean;
  /** A token bound to networks is good from those alone. */
  tokenNetworks: boolean;
  /** An enrolment link works once. */
  enrolmentOnce: boolean;
}

export const allIdentityControls: IdentityControls = {
  authorization: true,
  tokenExpiry: true,
  tokenNetworks: true,
  enrolmentOnce: true,
};

export interface Engine {
  decide(caller: Caller, permission: string, scope?: Scope): Promise<Decision>;
  /** For what belongs to no project, such as the newest checkpoint: holding it on the instance or on any project will do. */
  requireAnywhere(caller: Caller, permission: string): Promise<void>;
  /** Throws `identity.forbidden` (or `identity.unauthenticated`) with the engine's explanation. */
  require(caller: Caller, permission: string, scope?: Scope): Promise<void>;
}

/** The one engine every route, command and wire protocol goes through. */
export function createEngine({ db, clock, controls }: { db: Db; clock: Clock; controls: IdentityControls }): Engine {
  async function decideFor(caller: Caller, permission: string, scope: Scope = {}): Promise<Decision> {
    if (!controls.authorization) return { allowed: true, permission, reasons: ['authorization is switched off'] };
    const stored = caller.kind === 'person' || caller.kind === 'machine';
    const principal = stored ? await findPrincipal(db, { id: caller.principal }) : undefined;
    return decide({
      caller,
      permission,
      scope,
      active: principal?.active === true,
      grants: stored ? await grantsOf(db, caller.principal) : [],
      now: clock.now(),
      inNetworks: (networks, address) => networks.length === 0 || parseNetworks(networks)(address),
    });
  }

  async function refuse(caller: Caller, { permission, reasons }: Decision, scope: Scope): Promise<never> {
    if (caller.kind === 'anonymous') throw unauthenticated();
    const project = scope.project === undefined ? undefined : await findProject(db, { id: scope.project });
    const where =
      scope.project === undefined ? ' on the whole instance' : project ? ` on the project ${project.slug}` : '';
    throw new Problem({
      code: 'identity.forbidden',
      kind: 'forbidden',
      message: `${caller.name} may not do this: ${permission} is missing${where}.`,
      hint: 'Ask an owner for a role that includes it. waybill access explain shows how the decision was made.',
      details: { permission, reasons },
    });
  }

  return {
    decide: decideFor,
    async require(caller, permission, scope = {}) {
      const decision = await decideFor(caller, permission, scope);
      if (!decision.allowed) await refuse(caller, decision, scope);
    },
    async requireAnywhere(caller, permission) {
      const whole = await decideFor(caller, permission);
      if (whole.allowed) return;
      const stored = caller.kind === 'person' || caller.kind === 'machine';
      for (const { project } of stored ? await grantsOf(db, caller.principal) : []) {
        if (project !== null && (await decideFor(caller, permission, { project })).allowed) return;
      }
      await refuse(caller, whole, {});
    },
  };
}

export const unauthenticated = () =>
  new Problem({
    code: 'identity.unauthenticated',
    kind: 'unauthenticated',
    message: 'This needs a valid credential.',
    hint: 'Sign in with an enrolment link, or send a token: Authorization: Bearer <token>.',
  });
