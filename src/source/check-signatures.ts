/** Who made each commit and tag: an enrolled, active key of somebody who may push here, and whose name it bears. */
import { type Check, failed, passed } from '#base';
import type { Caller, Identity, Principal } from '#identity';
import type { IncomingHistory } from './incoming.ts';
import type { Person, RawCommit, RawTag } from './object.ts';
import { verifySshSignature } from './sshsig.ts';
import { count, cut } from './check-refs.ts';

export type SignerDirectory = Pick<Identity, 'signingKey' | 'findPrincipal' | 'decide'>;

export interface Signer {
  readonly principal: Principal;
  readonly key: string;
}

export interface SignatureFindings {
  readonly checks: readonly Check[];
  /** By commit or tag id: who signed it; absent if the signature is not good. */
  readonly signers: ReadonlyMap<string, Signer>;
}

type Notes = Omit<Check, 'name' | 'status'>;

const NAME = 'signatures';
const HOW_TO_SIGN =
  'git config gpg.format ssh; git config user.signingkey ~/.ssh/<key>.pub; git rebase --force-rebase --gpg-sign origin/main';

export async function checkSignatures(
  history: IncomingHistory,
  directory: SignerDirectory,
  caller: Caller,
  project: string,
): Promise<SignatureFindings> {
  const signers = new Map<string, Signer>();
  const problems: Check[] = history.malformed.map(({ id, reason }) =>
    failed(NAME, {
      code: 'source.object_malformed',
      expected: 'one reading of every commit and tag',
      found: `${id.slice(0, 10)}: ${reason}`,
      fix: 'make it again with stock git',
    }),
  );
  const judged = new Map<string, Notes | undefined>();
  for (const object of [...history.commits, ...history.tags]) {
    const outcome = await findSigner(object, directory, caller, project, judged);
    if ('key' in outcome) signers.set(object.id, outcome);
    else problems.push(failed(NAME, outcome));
  }
  const made = `${count(history.commits.length, 'commit')}, ${count(history.tags.length, 'tag')}`;
  return { checks: problems.length > 0 ? problems : [passed(NAME, made)], signers };
}

async function findSigner(
  object: RawCommit | RawTag,
  directory: SignerDirectory,
  caller: Caller,
  project: string,
  judged: Map<string, Notes | undefined>,
): Promise<Signer | Notes> {
  const what = 'tree' in object ? `commit ${object.id.slice(0, 10)}` : `tag ${cut(object.name, 60)}`;
  if (object.signature === null) {
    return {
      code: 'source.not_signed',
      expected: `${what} signed with an SSH key`,
      found: 'no signature',
      fix: 'tree' in object ? HOW_TO_SIGN : `git tag -s --force ${cut(object.name, 60)}`,
    };
  }
  if (!object.signature.startsWith('-----BEGIN SSH SIGNATURE-----')) {
    return {
      code: 'source.signature_kind',
      expected: `${what} signed with an SSH key`,
      found: 'a signature of another kind',
      fix: HOW_TO_SIGN,
    };
  }
  const result = verifySshSignature(object.signature, object.payload, 'git');
  if (!result.ok)
    return {
      code: 'source.signature_invalid',
      expected: `a good signature on ${what}`,
      found: result.reason,
      fix: HOW_TO_SIGN,
    };
  const { fingerprint, hardware } = result.signature;
  if (hardware?.touched === false) {
    return {
      code: 'source.signature_without_touch',
      expected: `${what} signed with a touch of the hardware key`,
      found: 'the touch flag is off',
      fix: 'use a key made without -O no-touch-required',
    };
  }
  const key = await directory.signingKey(fingerprint);
  if (key === undefined)
    return {
      code: 'source.key_unknown',
      expected: `${what} signed with an enrolled key`,
      found: fingerprint,
      fix: 'enrol the key: waybill key enrol ~/.ssh/<key>.pub',
    };
  if (key.revokedAt !== null)
    return {
      code: 'source.key_revoked',
      expected: `${what} signed with an active key`,
      found: `${fingerprint}, revoked`,
      fix: `sign with another key. ${HOW_TO_SIGN}`,
    };
  const principal = await directory.findPrincipal(key.principal);
  if (principal === undefined || !principal.active)
    return {
      code: 'source.signer_inactive',
      expected: `${what} signed by an active person`,
      found: `the owner of ${fingerprint} is not active`,
      fix: 'have somebody active make and sign the commit',
    };
  if (!judged.has(principal.id))
    judged.set(principal.id, await signerProblem(principal, fingerprint, directory, caller, project));
  return judged.get(principal.id) ?? { principal, key: fingerprint };
}

async function signerProblem(
  principal: Principal,
  key: string,
  directory: SignerDirectory,
  caller: Caller,
  project: string,
): Promise<Notes | undefined> {
  const decision = await directory.decide(asCaller(principal, key, caller), 'source:push', { project });
  if (decision.allowed) return undefined;
  return {
    code: 'source.signer_not_allowed',
    expected: 'every signer may push to this project',
    found: `${principal.name} may not`,
    fix: 'have an owner grant a role, or leave the commits out',
  };
}

/** The signer as the one who acts, from where the push comes. */
export function asCaller(principal: Principal, key: string, pusher: Caller): Caller {
  return {
    principal: principal.id,
    kind: principal.kind,
    name: principal.name,
    origin: pusher.origin,
    credential: { type: 'signing-key', id: key },
  };
}

/**
 * The names in a commit are free text; the signature is not. Author, committer and tagger must be e-mail addresses
 * registered to the signer. Where a commit has no signer (that control is off), the pusher stands for it.
 */
export function checkAuthors(
  history: IncomingHistory,
  signers: ReadonlyMap<string, Signer>,
  pusher: Principal | undefined,
): Check[] {
  const name = 'authors';
  const problems: Check[] = [];
  const judge = (id: string, what: string, role: string, person: Person) => {
    const owner = signers.get(id)?.principal ?? pusher;
    if (owner?.emails.some((email) => email.toLowerCase() === person.email.toLowerCase()) === true) return;
    problems.push(
      failed(name, {
        code: 'source.author_forged',
        expected: `${role} of ${what} is ${owner?.name ?? 'the signer'}, with a registered e-mail address`,
        found: `${cut(person.name, 40)} <${cut(person.email, 60)}>`,
        fix: 'git config user.email <your registered address>; git commit --amend --reset-author --gpg-sign',
      }),
    );
  };
  for (const commit of history.commits) {
    judge(commit.id, `commit ${commit.id.slice(0, 10)}`, 'the author', commit.author);
    if (commit.committer.email !== commit.author.email)
      judge(commit.id, `commit ${commit.id.slice(0, 10)}`, 'the committer', commit.committer);
  }
  for (const tag of history.tags) {
    if (tag.tagger !== null) judge(tag.id, `tag ${cut(tag.name, 60)}`, 'the tagger', tag.tagger);
  }
  return problems.length > 0 ? problems : [passed(name)];
}
