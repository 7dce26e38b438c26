import { z } from 'zod';
import { type Check, failed, passed, Problem, Slug } from '#base';

/** Trust rules: which tokens of an outside issuer are believed. Typed conditions on claims, no patterns but a narrow glob. */

const Scalar = z.union([z.string().max(1024), z.number(), z.boolean()]);
export const Condition = z.union([
  z.strictObject({ equals: Scalar }),
  z.strictObject({ in: z.array(Scalar).min(1).max(64) }),
  /** `*` stands for one or more characters other than `/`. */
  z.strictObject({ glob: z.string().min(1).max(1024) }),
  z.strictObject({ present: z.literal(true) }),
]);
export type Condition = z.infer<typeof Condition>;

/** A claim's name, or a JSON pointer (`/kubernetes.io/namespace`) for a claim inside a claim. */
export const ClaimName = z.string().min(1).max(200);

export const issuerKinds = ['github', 'gitlab', 'kubernetes', 'generic'] as const;
export type IssuerKind = (typeof issuerKinds)[number];

export const TrustRule = z.strictObject({
  name: Slug,
  issuer: z.string().max(500),
  /** The exact audience a token must be for. */
  audience: z.string().min(1).max(500),
  when: z.record(ClaimName, Condition),
});
export type TrustRule = z.infer<typeof TrustRule>;

/** Claims that cannot be given to somebody else by renaming: at least one must be pinned to exact values. */
const immutableClaims: Readonly<Record<IssuerKind, readonly string[]>> = {
  github: ['repository_id', 'repository_owner_id'],
  gitlab: ['project_id', 'namespace_id'],
  kubernetes: ['/kubernetes.io/serviceaccount/uid'],
  generic: ['sub'],
};
const CLAIMS_OF_THE_TOKEN = ['iss', 'aud', 'exp', 'iat', 'nbf', 'jti'];

/** Refuses a rule that would believe too much, whatever its author meant; `Problem identity.rule_unsafe`. */
export function requireSafeRule(rule: TrustRule, kind: IssuerKind): void {
  const conditions = Object.entries(rule.when);
  const exact = (name: string) => {
    const condition = rule.when[name];
    return condition !== undefined && ('equals' in condition || 'in' in condition);
  };
  for (const [name, condition] of conditions) {
    if (CLAIMS_OF_THE_TOKEN.includes(name)) {
      throw unsafe(`${name} is always checked and cannot be a condition`, `Leave ${name} out.`);
    }
    if ('glob' in condition && condition.glob.replaceAll(/[*/]/g, '') === '') {
      throw unsafe(`the glob on ${name} fits everything`, 'Write down what must stand around the star.');
    }
    if ('glob' in condition && condition.glob.includes('**')) {
      throw unsafe(`the glob on ${name} has two stars in a row`, 'One star stands for anything but a slash.');
    }
  }
  if (!immutableClaims[kind].some(exact)) {
    const names = immutableClaims[kind].join(' or ');
    throw unsafe(`no condition pins ${names}`, `Names can be given to somebody else; add: ${names} equals …`);
  }
  if (kind === 'github' && valuesOf(rule.when['event_name']).includes('pull_request_target')) {
    throw unsafe('it believes pull_request_target', 'Such runs work on code of strangers. Name other events.');
  }
  const isProtected = valuesOf(rule.when['ref_protected']);
  if (kind === 'gitlab' && !(isProtected.length === 1 && isProtected[0] === 'true')) {
    throw unsafe('it does not demand a protected ref', 'Add: ref_protected equals "true" (a string at GitLab).');
  }
}

function valuesOf(condition: Condition | undefined): readonly unknown[] {
  if (!condition) return [];
  if ('equals' in condition) return [condition.equals];
  return 'in' in condition ? condition.in : [];
}

/** Every condition of the rule against the claims, one check each; believed only if all pass. */
export function judgeRule(rule: TrustRule, claims: Readonly<Record<string, unknown>>): Check[] {
  return Object.entries(rule.when).map(([name, condition]) => {
    const value = claimOf(claims, name);
    const label = `${rule.name}: ${name}`;
    return holds(condition, value)
      ? passed(label)
      : failed(label, {
          code: 'identity.condition_failed',
          expected: JSON.stringify(condition),
          found: value === undefined ? 'no such claim' : JSON.stringify(value).slice(0, 200),
        });
  });
}

/** Own properties only, so that a claim's name cannot reach what every object has. */
export function claimOf(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  const path = name.startsWith('/')
    ? name
        .slice(1)
        .split('/')
        .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    : [name];
  let value: unknown = claims;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** Types count: the string "true" is not the boolean. */
function holds(condition: Condition, value: unknown): boolean {
  if ('present' in condition) return value !== undefined && value !== null && value !== '';
  if ('equals' in condition) return value === condition.equals;
  if ('in' in condition) return condition.in.some((one) => one === value);
  return typeof value === 'string' && globFits(condition.glob, value);
}

/** Without a regular expression: the text between stars must follow each other, and no star may swallow a slash or nothing. */
export function globFits(glob: string, text: string): boolean {
  const wanted = glob.split('/');
  const found = text.split('/');
  return wanted.length === found.length && wanted.every((part, index) => segmentFits(part, found[index]!));
}

function segmentFits(glob: string, text: string): boolean {
  const [first = '', ...rest] = glob.split('*');
  if (rest.length === 0) return glob === text;
  const last = rest.pop()!;
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let at = first.length;
  const end = text.length - last.length;
  for (const part of rest) {
    const next = text.indexOf(part, at + 1);
    if (next < 0 || next + part.length > end) return false;
    at = next + part.length;
  }
  return end - at >= 1;
}

const unsafe = (reason: string, hint: string) =>
  new Problem({
    code: 'identity.rule_unsafe',
    kind: 'invalid',
    message: `This trust rule is refused: ${reason}.`,
    hint,
  });
