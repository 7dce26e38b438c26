import type { z } from 'zod';
import { type ModuleDefinition, onFact } from '#journal';
import * as facts from './facts.ts';
import { migrations } from './migrations.ts';
import {
  deleteIssuer,
  deleteMember,
  deleteRule,
  endGrant,
  endKey,
  endToken,
  insert,
  replaceIssuer,
  replaceRule,
  anonymise,
} from './store.ts';

export const identityModule: ModuleDefinition = {
  name: 'identity',
  migrations,
  facts: facts.all,
  apply: {
    'identity.principal_created': onFact(facts.principalCreated, (tx, payload, fact) =>
      insert(tx, 'identity_principal', {
        id: payload.principal,
        kind: payload.kind,
        name: payload.name,
        emails: JSON.stringify(payload.emails),
        state: 'active',
        created_at: fact.at,
      }),
    ),
    'identity.project_created': onFact(facts.projectCreated, (tx, payload, fact) =>
      insert(tx, 'identity_project', {
        id: payload.project,
        slug: payload.slug,
        created_at: fact.at,
        created_by: fact.actor.principal,
      }),
    ),
    'identity.group_created': onFact(facts.groupCreated, (tx, payload) =>
      insert(tx, 'identity_group', { id: payload.group, name: payload.name }),
    ),
    'identity.member_added': onFact(facts.memberAdded, (tx, payload) =>
      insert(tx, 'identity_member', { group_id: payload.group, principal_id: payload.principal }),
    ),
    'identity.member_removed': onFact(facts.memberRemoved, (tx, payload) =>
      deleteMember(tx, payload.group, payload.principal),
    ),
    'identity.grant_given': onFact(facts.grantGiven, (tx, payload, fact) =>
      insert(tx, 'identity_grant', {
        id: payload.grant,
        subject_kind: payload.subject.kind,
        subject_id: payload.subject.id,
        role: payload.role,
        scope: payload.scope,
        project_id: payload.project,
        networks: JSON.stringify(payload.networks),
        expires_at: payload.expiresAt,
        given_by: fact.actor.principal,
        given_at: fact.at,
        revoked_at: null,
      }),
    ),
    'identity.grant_revoked': onFact(facts.grantRevoked, (tx, payload, fact) => endGrant(tx, payload.grant, fact.at)),
    'identity.token_issued': onFact(facts.tokenIssued, (tx, payload, fact) =>
      insert(tx, 'identity_token', {
        id: payload.token,
        principal_id: payload.principal,
        purpose: payload.purpose,
        hash: payload.hash,
        label: payload.label,
        networks: JSON.stringify(payload.networks),
        limits: JSON.stringify(payload.limits),
        created_at: fact.at,
        expires_at: payload.expiresAt,
        ended_at: null,
        ended_how: null,
      }),
    ),
    'identity.enrolment_redeemed': onFact(facts.enrolmentRedeemed, (tx, payload, fact) =>
      endToken(tx, payload.token, fact.at, 'redeemed'),
    ),
    'identity.token_revoked': onFact(facts.tokenRevoked, (tx, payload, fact) =>
      endToken(tx, payload.token, fact.at, 'revoked'),
    ),
    'identity.key_enrolled': onFact(facts.keyEnrolled, (tx, payload, fact) =>
      insert(tx, 'identity_key', {
        fingerprint: payload.fingerprint,
        principal_id: payload.principal,
        key_type: payload.keyType,
        public_key: payload.publicKey,
        label: payload.label,
        enrolled_at: fact.at,
        revoked_at: null,
      }),
    ),
    'identity.key_revoked': onFact(facts.keyRevoked, (tx, payload, fact) => endKey(tx, payload.fingerprint, fact.at)),
    'identity.issuer_trusted': onFact(facts.issuerTrusted, (tx, { issuer, kind, keys, maxAgeSeconds }) =>
      replaceIssuer(tx, { issuer, kind, keys: JSON.stringify(keys), max_age_seconds: maxAgeSeconds }),
    ),
    'identity.issuer_dropped': onFact(facts.issuerDropped, (tx, payload) => deleteIssuer(tx, payload.issuer)),
    'identity.rule_set': onFact(facts.ruleSet, (tx, payload) => replaceRule(tx, payload)),
    'identity.rule_dropped': onFact(facts.ruleDropped, (tx, payload) => deleteRule(tx, payload.name)),
  },
  erase: {
    // The random id stays: everything that person did keeps its actor.
    'identity.principal_created': {
      residue: (payload: PrincipalCreated): PrincipalCreated => ({
        ...payload,
        name: `erased ${payload.principal}`,
        emails: [],
      }),
      scrub: (tx, { principal, name }: PrincipalCreated) => anonymise(tx, principal, name),
    },
  },
};

type PrincipalCreated = z.infer<typeof facts.principalCreated.schema>;
