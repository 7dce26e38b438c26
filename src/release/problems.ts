import { Problem } from '#base';

export const environmentNotFound = (project: string, name: string) =>
  new Problem({
    code: 'release.environment_not_found',
    kind: 'not_found',
    message: `${project.slice(0, 40)} has no environment named ${name.slice(0, 40)}.`,
    hint: 'List them: waybill environment list.',
  });

export const promotionNotFound = (id: string) =>
  new Problem({
    code: 'release.promotion_not_found',
    kind: 'not_found',
    message: `There is no promotion ${id.slice(0, 40)}, or you may not see it.`,
    hint: 'List them: waybill promotion list.',
  });

export const notPromotable = (artifact: string) =>
  new Problem({
    code: 'release.not_promotable',
    kind: 'rejected',
    message: `${artifact.slice(0, 120)} is in the playground only; what was uploaded there is never promoted.`,
    hint: 'Push the source, let CI build and publish it, then promote what was published.',
  });

export const alreadyDecided = (id: string, status: string) =>
  new Problem({
    code: 'release.already_decided',
    kind: 'conflict',
    message: `The promotion ${id} is decided already: ${status}.`,
    hint: 'Request a new promotion if another decision is needed.',
  });

export const approverIsRequester = () =>
  new Problem({
    code: 'release.approver_is_requester',
    kind: 'forbidden',
    message: 'Whoever requests a promotion cannot approve it.',
    hint: 'Ask somebody else who may approve.',
  });

export const approverIsAuthor = () =>
  new Problem({
    code: 'release.approver_is_author',
    kind: 'forbidden',
    message: 'Whoever signed the commit cannot approve its way into this environment.',
    hint: 'Ask somebody else who may approve.',
  });

export const approverIsNoPerson = () =>
  new Problem({
    code: 'release.approver_is_no_person',
    kind: 'forbidden',
    message: 'Only people approve; machines and builds do not.',
    hint: 'Approve with a personal credential.',
  });

export const policyFromElsewhere = (expected: string, found: string) =>
  new Problem({
    code: 'release.policy_name_mismatch',
    kind: 'invalid',
    message: `This policy is named ${found.slice(0, 120)}; the one of this environment is named ${expected}.`,
    hint: `Set its name to ${expected}.`,
  });
