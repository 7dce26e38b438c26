import { toIso } from '#base';
import { type App, bindEndpoint } from '#http';
import {
  type GrantRequest,
  type Identity,
  identityContract as contract,
  type Principal,
  type Project,
  type SigningKey,
} from '#identity';

type GrantBody = {
  role: GrantRequest['role'];
  project?: string | undefined;
  networks?: string[] | undefined;
  expiresAt?: string | undefined;
  reason?: string | undefined;
};

/** Projects, people, machines, keys, tokens and grants. */
export function bindIdentity(app: App, { identity, publicUrl }: { identity: Identity; publicUrl: string }): void {
  const linkTo = (enrolment: string) => `${publicUrl}/enrol#${enrolment}`;

  bindEndpoint(app, contract.whoami, async ({ caller }) => ({
    principal: caller.principal,
    kind: caller.kind,
    name: caller.name,
    credential: { type: caller.credential.type, id: caller.credential.id },
  }));
  bindEndpoint(app, contract.redeemEnrolment, async ({ body, request }) => {
    const issued = await identity.redeemEnrolment(body.enrolment, request.origin, 'access');
    return { id: issued.id, token: issued.token, expiresAt: toIso(issued.expiresAt) };
  });

  bindEndpoint(app, contract.createProject, async ({ caller, body }) =>
    projectView(await identity.createProject(caller, body.slug)),
  );
  bindEndpoint(app, contract.listProjects, async ({ caller }) => ({
    items: (await identity.listProjects(caller)).map(projectView),
    next: null,
  }));
  bindEndpoint(app, contract.showProject, async ({ caller, params }) => {
    const project = await identity.requireProject(params.project);
    await identity.require(caller, 'project:read', { project: project.id });
    return projectView(project);
  });

  bindEndpoint(app, contract.listPeople, async ({ caller }) => ({
    items: (await identity.listPrincipals(caller)).map(principalView),
    next: null,
  }));
  bindEndpoint(app, contract.invitePerson, async ({ caller, body }) => {
    const invited = await identity.invitePerson(caller, { ...body, grants: body.grants.map(grantRequest) });
    return {
      principal: principalView(invited.principal),
      enrolment: invited.enrolment,
      link: linkTo(invited.enrolment),
      expiresAt: toIso(invited.expiresAt),
    };
  });
  bindEndpoint(app, contract.inviteAgain, async ({ caller, params }) => {
    const invited = await identity.inviteAgain(caller, params.person);
    return { enrolment: invited.enrolment, link: linkTo(invited.enrolment), expiresAt: toIso(invited.expiresAt) };
  });
  bindEndpoint(app, contract.createMachine, async ({ caller, body }) => {
    const made = await identity.createMachine(caller, {
      name: body.name,
      grants: body.grants.map(grantRequest),
      ...(body.networks ? { networks: body.networks } : {}),
    });
    return { principal: principalView(made.principal), token: made.token, expiresAt: toIso(made.expiresAt) };
  });

  bindEndpoint(app, contract.giveGrant, async ({ caller, body }) => {
    const subject = body.group === undefined ? { principal: body.principal ?? '' } : { group: body.group };
    return { grant: await identity.grant(caller, subject, grantRequest(body.grant)) };
  });
  bindEndpoint(app, contract.revokeGrant, async ({ caller, params }) => {
    await identity.revokeGrant(caller, params.grant);
    return { done: true as const };
  });
  bindEndpoint(app, contract.explainAccess, async ({ caller, query }) => {
    const project = query.project === undefined ? undefined : (await identity.requireProject(query.project)).id;
    const decision = await identity.decide(caller, query.permission, project === undefined ? {} : { project });
    return { allowed: decision.allowed, permission: decision.permission, reasons: [...decision.reasons] };
  });
  bindEndpoint(app, contract.createGroup, async ({ caller, body }) => ({
    group: await identity.createGroup(caller, body.name),
  }));
  bindEndpoint(app, contract.addMember, async ({ caller, params, body }) => {
    await identity.addMember(caller, params.group, body.principal);
    return { done: true as const };
  });

  bindEndpoint(app, contract.enrolKey, async ({ caller, body }) =>
    keyView(await identity.enrolKey(caller, body.publicKey, body.label)),
  );
  bindEndpoint(app, contract.listKeys, async ({ caller }) => ({
    items: (await identity.keysOf(caller.principal)).map(keyView),
    next: null,
  }));
  bindEndpoint(app, contract.revokeKey, async ({ caller, body }) => {
    await identity.revokeKey(caller, body.fingerprint, body.reason);
    return { done: true as const };
  });

  bindEndpoint(app, contract.createToken, async ({ caller, body }) => {
    const { ttlSeconds, ...rest } = body;
    const issued = await identity.issueToken(caller, {
      label: rest.label,
      ...(rest.project === undefined ? {} : { project: rest.project }),
      ...(rest.permissions === undefined ? {} : { permissions: rest.permissions }),
      ...(rest.networks === undefined ? {} : { networks: rest.networks }),
      ...(ttlSeconds === undefined ? {} : { ttlMs: ttlSeconds * 1000 }),
    });
    return { id: issued.id, token: issued.token, expiresAt: toIso(issued.expiresAt) };
  });
  bindEndpoint(app, contract.listTokens, async ({ caller }) => ({
    items: (await identity.listTokens(caller)).map((view) => ({
      ...view,
      createdAt: toIso(view.createdAt),
      expiresAt: toIso(view.expiresAt),
      lastUsedAt: view.lastUsedAt === null ? null : toIso(view.lastUsedAt),
    })),
    next: null,
  }));
  bindEndpoint(app, contract.revokeToken, async ({ caller, params }) => {
    await identity.revokeToken(caller, params.token, 'revoked by request');
    return { done: true as const };
  });
}

function grantRequest(body: GrantBody): GrantRequest {
  return {
    role: body.role,
    ...(body.project === undefined ? {} : { project: body.project }),
    ...(body.networks === undefined ? {} : { networks: body.networks }),
    ...(body.expiresAt === undefined ? {} : { expiresAt: Date.parse(body.expiresAt) }),
    ...(body.reason === undefined ? {} : { reason: body.reason }),
  };
}

const projectView = (project: Project) => ({ id: project.id, slug: project.slug, createdAt: toIso(project.createdAt) });

const principalView = (principal: Principal) => ({
  id: principal.id,
  kind: principal.kind,
  name: principal.name,
  emails: [...principal.emails],
  active: principal.active,
  createdAt: toIso(principal.createdAt),
});

const keyView = (key: SigningKey) => ({
  fingerprint: key.fingerprint,
  keyType: key.keyType,
  publicKey: key.publicKey,
  label: key.label,
  enrolledAt: toIso(key.enrolledAt),
  revokedAt: key.revokedAt === null ? null : toIso(key.revokedAt),
});
