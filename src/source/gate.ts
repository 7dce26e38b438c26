/**
 * The push gate: one decision over everything a push brings. Every problem is reported, not only the first; what
 * cannot be looked at refuses.
 */
import { type Check, failed, notChecked, Problem, type Verdict, verdictOf } from '#base';
import type { Detector } from '#detect';
import type { Caller } from '#identity';
import { checkCertificate, type PushCertificate } from './check-certificate.ts';
import { checkPaths, checkSizes, checkSmuggling } from './check-objects.ts';
import { checkProtectedPaths, findLinkTargets } from './check-protected.ts';
import { checkAppendOnly, checkDiskRefs, checkRefNames, switchedOff } from './check-refs.ts';
import { checkSecrets } from './check-secrets.ts';
import { checkAuthors, checkSignatures, type Signer, type SignerDirectory } from './check-signatures.ts';
import type { GitPlace } from './git.ts';
import { type Incoming, listIncoming, readHistory } from './incoming.ts';
import { protectPaths } from './path.ts';
import type { GateLimits, SourceControl, SourceControls } from './policy.ts';
import type { RefUpdate } from './ref.ts';
import type { Ref, Repository } from './store.ts';

export interface GateInput {
  readonly repository: Repository;
  readonly caller: Caller;
  readonly updates: readonly RefUpdate[];
  readonly recorded: readonly Ref[];
  /** The repository as git shows it to its hook: with the quarantine in front. */
  readonly place: GitPlace;
  readonly quarantine: string | undefined;
  readonly certificate: PushCertificate | null;
  readonly cloneUrl: string;
}

export interface GatePorts {
  readonly directory: SignerDirectory;
  readonly detector: Detector;
  readonly controls: SourceControls;
  readonly limits: GateLimits;
  isNonceUsed(repository: string, nonce: string): Promise<boolean>;
}

export interface GateDecision {
  readonly verdict: Verdict;
  readonly commits: readonly { id: string; signer: string | null; key: string | null }[];
  readonly warnings: readonly string[];
}

export async function decidePush(input: GateInput, ports: GatePorts): Promise<GateDecision> {
  const checks: Check[] = [];
  const run = async (
    control: SourceControl,
    name: string,
    check: () => Promise<readonly Check[]> | readonly Check[],
  ) => {
    checks.push(...(ports.controls[control] ? await orRefusal(name, check) : [switchedOff(name)]));
  };
  const { place, updates, repository } = input;
  await run('diskRefs', 'refs on disk', () => checkDiskRefs(place, input.recorded));
  await run('refNames', 'ref names', () => checkRefNames(updates, input.recorded, ports.limits));
  await run('appendOnly', 'append-only history', () => checkAppendOnly(place, updates));
  await run('certificates', 'push certificate', () =>
    checkCertificate({
      policy: repository.pushCertificates,
      certificate: input.certificate,
      updates,
      pusher: input.caller.principal,
      cloneUrl: input.cloneUrl,
      directory: ports.directory,
      isNonceUsed: (nonce) => ports.isNonceUsed(repository.id, nonce),
    }),
  );
  const content = await decideContent(input, ports, run, checks);
  return { verdict: verdictOf(checks, { allowNotChecked: true }), ...content };
}

type Run = (
  control: SourceControl,
  name: string,
  check: () => Promise<readonly Check[]> | readonly Check[],
) => Promise<void>;
const contentControls = ['signatures', 'authors', 'protected paths', 'secrets'] as const;

/** Sizes first: content is read only if it fits. */
async function decideContent(
  input: GateInput,
  ports: GatePorts,
  run: Run,
  checks: Check[],
): Promise<Omit<GateDecision, 'verdict'>> {
  const deadline = performance.now() + ports.limits.gateMs;
  const nothing = { commits: [], warnings: [] };
  const stop = (why: string) => {
    checks.push(...contentControls.map((name) => notChecked(name, why)));
    return nothing;
  };
  let incoming: Incoming;
  try {
    incoming = await listIncoming(input.place, input.quarantine, input.updates, ports.limits);
  } catch (error) {
    checks.push(unreadable('sizes', error));
    return stop('the objects of the push could not be listed');
  }
  await run('sizes', 'sizes', () => checkSizes(incoming, ports.limits));
  await run('smuggling', 'no smuggled objects', () => checkSmuggling(incoming));
  if (checks.some((check) => check.name === 'sizes' && check.status === 'failed'))
    return stop('the push is too large to be looked into');
  try {
    return await decideHistory(incoming, input, ports, run, checks, deadline);
  } catch (error) {
    checks.push(unreadable('signatures', error));
    return nothing;
  }
}

async function decideHistory(
  incoming: Incoming,
  input: GateInput,
  ports: GatePorts,
  run: Run,
  checks: Check[],
  deadline: number,
): Promise<Omit<GateDecision, 'verdict'>> {
  const { directory } = ports;
  const project = input.repository.project;
  const history = await readHistory(incoming, ports.limits);
  if (ports.controls.sizes) checks.push(...checkPaths(history.changes, ports.limits));
  let signers: ReadonlyMap<string, Signer> = new Map();
  let warnings: readonly string[] = [];
  await run('signatures', 'signatures', async () => {
    const found = await checkSignatures(history, directory, input.caller, project);
    signers = found.signers;
    return found.checks;
  });
  await run('authors', 'authors', async () =>
    checkAuthors(history, signers, await directory.findPrincipal(input.caller.principal)),
  );
  await run('protectedPaths', 'protected paths', async () => {
    const patterns = protectPaths(input.repository.protectedPaths);
    const behindLinks = await findLinkTargets(input.place, input.updates, patterns);
    return await checkProtectedPaths({
      changes: history.changes,
      patterns,
      behindLinks,
      signers,
      directory,
      caller: input.caller,
      project,
    });
  });
  await run('secrets', 'secrets', async () => {
    const found = await checkSecrets(incoming, history.changes, ports.detector, deadline);
    warnings = found.warnings;
    return found.checks;
  });
  const commits = history.commits.map(({ id }) => ({
    id,
    signer: signers.get(id)?.principal.id ?? null,
    key: signers.get(id)?.key ?? null,
  }));
  return { commits, warnings };
}

/** A control that breaks has not passed. */
async function orRefusal(
  name: string,
  check: () => Promise<readonly Check[]> | readonly Check[],
): Promise<readonly Check[]> {
  try {
    return await check();
  } catch (error) {
    return [unreadable(name, error)];
  }
}

function unreadable(name: string, error: unknown): Check {
  const reason = Problem.is(error) ? `${error.code}: ${error.message}` : 'the control broke off';
  return failed(name, {
    code: 'source.control_failed',
    expected: 'an answer',
    found: reason,
    fix: 'push again; if it stays, tell an administrator',
  });
}
