import type { Actor } from '#journal';
import { consolePermissions, isPermission, type Role, roles, systemPermissions } from './role.ts';

/** What a credential itself was narrowed to when it was made; it can only take away. */
export interface CredentialLimits {
  project?: string;
  permissions?: readonly string[];
}

/** Who is asking, with which credential, from where. */
export interface Caller extends Actor {
  /** `console`: the server's own command line, for whoever holds the data directory. No credential makes one. */
  kind: 'person' | 'machine' | 'build' | 'system' | 'console' | 'anonymous';
  name: string;
  credential: { type: string; id: string; limits?: CredentialLimits };
}

export interface Grant {
  id: string;
  role: Role;
  scope: 'instance' | 'project';
  project: string | null;
  /** Through which group, if not directly. */
  group: string | null;
  expiresAt: number | null;
  /** Networks the grant is good for; empty: any. */
  networks: readonly string[];
}

export interface Scope {
  /** Project id; absent means the whole instance. */
  project?: string;
}

/**
 * Does the credential speak for all that its owner is? What belongs to the owner as such (keys, other tokens) is out of reach for
 * a token that was narrowed, and for a job, which only borrows the name of its runner.
 */
export function actsInFull({ kind, credential: { limits } }: Caller): boolean {
  return kind !== 'build' && limits?.project === undefined && limits?.permissions === undefined;
}

/** The answer of the engine. `reasons` says, in order, what was looked at; the last one decided. */
export interface Decision {
  allowed: boolean;
  permission: string;
  reasons: readonly string[];
}

export interface DecisionInput {
  caller: Caller;
  active: boolean;
  permission: string;
  scope: Scope;
  grants: readonly Grant[];
  now: number;
  /** Is the caller's address in these networks? */
  inNetworks(networks: readonly string[], address: string | undefined): boolean;
}

/** Pure, and deny by default: allowed only if some live grant covers permission and scope and nothing takes it away. */
export function decide(input: DecisionInput): Decision {
  const { caller, permission, scope } = input;
  const reasons: string[] = [];
  const deny = (reason: string): Decision => ({ allowed: false, permission, reasons: [...reasons, reason] });
  const allow = (reason: string): Decision => ({ allowed: true, permission, reasons: [...reasons, reason] });

  if (!isPermission(permission)) return deny(`there is no permission named ${permission}`);
  if (caller.kind === 'anonymous') return deny('the request carries no valid credential');
  if (caller.kind === 'system') {
    if (systemPermissions.includes(permission)) return allow('the control plane holds this permission');
    return deny('the control plane does not hold this permission');
  }
  if (caller.kind === 'console') {
    if (consolePermissions.includes(permission)) return allow('the console may let people and machines in');
    return deny('the console may only let people and machines in');
  }
  if (!input.active) return deny('the principal is not active');

  const limits = caller.credential.limits;
  if (limits?.permissions && !limits.permissions.includes(permission)) {
    return deny(`this ${caller.credential.type} was made without ${permission}`);
  }
  if (limits?.project !== undefined && limits.project !== scope.project) {
    return deny(`this ${caller.credential.type} is only good for another project`);
  }
  for (const grant of input.grants) {
    const label = `${grant.role} on ${grant.scope === 'instance' ? 'the instance' : 'the project'}${grant.group ? ' through a group' : ''}`;
    if (!(roles[grant.role] as readonly string[]).includes(permission)) {
      reasons.push(`${label} does not include ${permission}`);
    } else if (grant.scope === 'project' && grant.project !== scope.project) {
      reasons.push(`${label} is another project's`);
    } else if (grant.expiresAt !== null && grant.expiresAt <= input.now) {
      reasons.push(`${label} has expired`);
    } else if (!input.inNetworks(grant.networks, caller.origin.address)) {
      reasons.push(`${label} is not good from this network`);
    } else {
      return allow(`${label} includes ${permission}`);
    }
  }
  return deny(input.grants.length === 0 ? 'no grant names this principal' : `no grant gives ${permission} here`);
}
