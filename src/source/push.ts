/**
 * One push, from the connection to the moved refs:
 * git receives into a quarantine → its hook asks the gate → the decision becomes a fact → git moves the refs.
 * The objects of an accepted push are in the main store before its fact is; a crash in between loses nothing.
 */
import { randomBytes } from 'node:crypto';
import { resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Check, type Digest, failed, faultPoint, newId, Problem } from '#base';
import type { Detector } from '#detect';
import { actorOf, type Caller } from '#identity';
import type { Journal } from '#journal';
import type { Db, Objects } from '#storage';
import type { PushCertificate } from './check-certificate.ts';
import type { SignerDirectory } from './check-signatures.ts';
import { cut } from './check-refs.ts';
import {
  dropLooseObject,
  dropObjects,
  forgetKept,
  keepObjects,
  type KeptObjects,
  repositoryDirectory,
} from './disk.ts';
import { pushAborted, pushAccepted, pushRefused, type PushAccepted } from './facts.ts';
import { decidePush, type GateDecision } from './gate.ts';
import type { GateSocket, HookAnswer, HookQuestion } from './gate-socket.ts';
import { exitOf, type GitPlace, readObjects, runGit, spawnGit, statObjects } from './git.ts';
import { renderAcceptance, renderRefusal } from './message.ts';
import type { GateLimits, SourceControls } from './policy.ts';
import { peelToCommit } from './reading.ts';
import { isObjectId, isZeroId, parseUpdates, type RefUpdate } from './ref.ts';
import { isNonceUsed, refsOf, type Repository } from './store.ts';

export interface PushDependencies {
  readonly root: string;
  readonly hooks: string;
  readonly publicUrl: string;
  readonly journal: Journal;
  readonly db: Db;
  readonly objects: Objects;
  readonly directory: SignerDirectory;
  readonly detector: Detector;
  readonly controls: SourceControls;
  readonly limits: GateLimits;
  /** Seed of the nonces in push certificates. */
  nonceSeed(repository: string): string;
}

/** git's answer to the client. Destroying it ends git. */
export interface GitAnswer {
  readonly output: AsyncIterable<Buffer>;
  /** git's exit status; -1 if it was ended. */
  readonly status: Promise<number>;
  stop(): void;
}

export interface Pushes {
  receive(caller: Caller, repository: Repository, request: { body: Readable; protocol?: string }): Promise<GitAnswer>;
  /** The configuration receive-pack runs with, for its advertisement. */
  configuration(repository: Repository): Record<string, string>;
  answerHook(question: HookQuestion): Promise<HookAnswer>;
  /** Moves recorded refs that git did not move; records the push as aborted where the disk says something else. */
  settle(repository: Repository, push: MovedRefs): Promise<void>;
  /** Accepted, but not yet moved by git: where each ref stood before. */
  moving(repository: string): ReadonlyMap<string, string>;
  useSocket(socket: GateSocket): void;
  /** Resolves when no push is under way. */
  idle(): Promise<void>;
}

/** What of an accepted push it takes to move its refs. */
export interface MovedRefs {
  readonly push: string;
  readonly updates: readonly RefUpdate[];
}

interface Session {
  readonly secret: string;
  readonly push: string;
  readonly repository: Repository;
  readonly caller: Caller;
  /** `ref new` of what the gate approved. */
  readonly approved: Set<string>;
  accepted: PushAccepted | undefined;
}

const CERTIFICATE_BYTES_MAX = 64 * 1024;
const CHECKS_RECORDED_MAX = 60;
const CHECK_CHARS_MAX = 480;

export function createPushes(dependencies: PushDependencies): Pushes {
  const { root, limits, controls, db, journal } = dependencies;
  const sessions = new Map<string, Session>();
  const queues = new Map<string, Promise<void>>();
  let socketPath = '';

  const directoryOf = (repository: Repository) => repositoryDirectory(root, repository.id);
  const linkTo = (push: string) => `${dependencies.publicUrl}/pushes/${push}`;

  /** One push a repository at a time; resolves to how to let the next one in. */
  async function enter(repository: Repository): Promise<() => void> {
    const before = queues.get(repository.id) ?? Promise.resolve();
    let leave: () => void = () => undefined;
    const mine = new Promise<void>((done) => (leave = done));
    const tail = before.then(() => mine);
    queues.set(repository.id, tail);
    void tail.then(() => queues.get(repository.id) === tail && queues.delete(repository.id));
    const waiting = new AbortController();
    const late = sleep(limits.waitMs, 'late', { signal: waiting.signal, ref: false }).catch(() => 'entered');
    const outcome = await Promise.race([before.then(() => 'entered'), late]);
    waiting.abort();
    if (outcome === 'entered') return leave;
    leave();
    throw busy(repository.name);
  }

  function openSession(repository: Repository, caller: Caller): Session {
    const secret = randomBytes(24).toString('base64url');
    const session: Session = {
      secret,
      push: newId('psh'),
      repository,
      caller,
      approved: new Set(),
      accepted: undefined,
    };
    sessions.set(secret, session);
    return session;
  }

  const sessionEnvironment = (session: Session) => ({
    WAYBILL_GATE_SOCKET: socketPath,
    WAYBILL_GATE_SESSION: session.secret,
  });

  function configuration(repository: Repository): Record<string, string> {
    return {
      'core.hooksPath': dependencies.hooks,
      'receive.fsckObjects': 'true',
      'receive.maxInputSize': String(limits.packBytes),
      'receive.denyNonFastForwards': String(controls.appendOnly),
      'receive.denyDeletes': String(controls.appendOnly),
      'receive.denyDeleteCurrent': controls.appendOnly ? 'refuse' : 'ignore',
      'receive.unpackLimit': '1',
      'receive.autogc': 'false',
      'transfer.hideRefs': 'refs/waybill',
      'core.bigFileThreshold': '16m',
      'pack.threads': '1',
      'gpg.ssh.allowedSignersFile': '/dev/null',
      ...(repository.pushCertificates === 'off'
        ? {}
        : { 'receive.certNonceSeed': dependencies.nonceSeed(repository.id), 'receive.certNonceSlop': '600' }),
    };
  }

  async function receive(
    caller: Caller,
    repository: Repository,
    request: { body: Readable; protocol?: string },
  ): Promise<GitAnswer> {
    const leave = await enter(repository);
    const session = openSession(repository, caller);
    const place: GitPlace = {
      dir: directoryOf(repository),
      env: {
        ...sessionEnvironment(session),
        ...(request.protocol === undefined ? {} : { GIT_PROTOCOL: request.protocol }),
      },
    };
    const child = spawnGit(place, ['receive-pack', '--stateless-rpc', '.'], configuration(repository));
    const stop = () => {
      child.stdout.destroy();
      child.kill();
    };
    const timer = setTimeout(stop, limits.pushMs);
    child.stderr.resume();
    request.body.on('error', stop);
    request.body.pipe(child.stdin);
    const status = exitOf(child).catch(() => -1);
    const finished = status
      .then(() => finish(session))
      .finally(() => {
        clearTimeout(timer);
        sessions.delete(session.secret);
        leave();
      });
    finished.catch(() => undefined);
    async function* output(): AsyncGenerator<Buffer> {
      yield* child.stdout as AsyncIterable<Buffer>;
      await finished;
    }
    return {
      output: output(),
      status,
      stop,
    };
  }

  /** git has ended, in whatever way: what the fact says is now made true. */
  async function finish(session: Session): Promise<void> {
    if (session.accepted !== undefined) await settleAs(session, session.accepted);
  }

  async function settleAs(session: Session, push: MovedRefs): Promise<void> {
    const { repository } = session;
    const place: GitPlace = { dir: directoryOf(repository), env: sessionEnvironment(session) };
    const stuck: RefUpdate[] = [];
    for (const update of push.updates) {
      if (!(await moveOnDisk(place, session, update))) stuck.push(update);
    }
    if (stuck.length > 0) await abort(session, push, stuck);
    await forgetKept(directoryOf(repository), push.push);
  }

  async function moveOnDisk(place: GitPlace, session: Session, update: RefUpdate): Promise<boolean> {
    if ((await readRef(place, update.ref)) === update.new) return true;
    session.approved.add(`${update.ref} ${update.new}`);
    const args = isZeroId(update.new)
      ? ['update-ref', '-d', update.ref, update.old]
      : ['update-ref', update.ref, update.new, update.old];
    await runGit(place, args, { accept: [0, 1, 128] });
    return (await readRef(place, update.ref)) === update.new;
  }

  async function abort(session: Session, push: MovedRefs, updates: readonly RefUpdate[]): Promise<void> {
    await journal.record({
      fact: pushAborted,
      stream: `repository/${session.repository.id}`,
      actor: actorOf(session.caller),
      payload: {
        push: push.push,
        repository: session.repository.id,
        reason: 'the refs on the disk were changed by something else meanwhile',
        updates: [...updates],
      },
    });
  }

  async function answerHook(question: HookQuestion): Promise<HookAnswer> {
    const session = sessions.get(question.session);
    const updates = parseUpdates(question.input);
    if (session === undefined || updates === undefined) return refusal('this push is not one the server has open');
    if (question.hook === 'pre-receive') return await decide(session, updates, question.env);
    // Moving the branch that HEAD names is announced under both names.
    const named = (ref: string) => (ref === 'HEAD' ? 'refs/heads/main' : ref);
    const strange = updates.find((update) => !session.approved.has(`${named(update.ref)} ${update.new}`));
    return strange === undefined ? { ok: true, lines: [] } : refusal(`the gate did not approve ${cut(strange.ref)}`);
  }

  async function decide(
    session: Session,
    updates: readonly RefUpdate[],
    env: Readonly<Record<string, string>>,
  ): Promise<HookAnswer> {
    const { repository, caller } = session;
    if (session.accepted !== undefined || updates.length === 0) return refusal('there is nothing to decide');
    const dir = directoryOf(repository);
    const quarantine = quarantineIn(dir, env['GIT_QUARANTINE_PATH']);
    const place: GitPlace = {
      dir,
      ...(quarantine === undefined
        ? {}
        : { env: { GIT_OBJECT_DIRECTORY: quarantine, GIT_ALTERNATE_OBJECT_DIRECTORIES: `${dir}/objects` } }),
    };
    const certificate = await readCertificate(place, env);
    const decision = await decidePush(
      {
        repository,
        caller,
        updates,
        recorded: await refsOf(db, repository.id),
        place,
        quarantine,
        certificate,
        cloneUrl: `${dependencies.publicUrl}/${repository.name}.git`,
      },
      { ...dependencies, isNonceUsed: (id, nonce) => isNonceUsed(db, id, nonce) },
    );
    faultPoint('source.before_verdict');
    const blob = env['GIT_PUSH_CERT'];
    if (!decision.verdict.ok) {
      if (blob !== undefined && isObjectId(blob)) await dropLooseObject(dir, blob);
      return await refuse(session, updates, decision.verdict.checks);
    }
    const tagged = await commitsBehindTags(place, updates);
    return await accept(session, { updates, tagged }, decision, certificate, quarantine);
  }

  async function accept(
    session: Session,
    { updates, tagged }: { updates: readonly RefUpdate[]; tagged: PushAccepted['tagged'] },
    decision: GateDecision,
    certificate: PushCertificate | null,
    quarantine: string | undefined,
  ): Promise<HookAnswer> {
    const { repository, caller, push } = session;
    const dir = directoryOf(repository);
    const checks = forRecord(decision.verdict.checks);
    let kept: KeptObjects = { push, files: [] };
    let stored: Digest | null = null;
    try {
      if (quarantine !== undefined) kept = await keepObjects(dir, quarantine, push);
      if (certificate !== null) stored = (await dependencies.objects.put(Buffer.from(certificate.text))).digest;
      const payload: PushAccepted = {
        push,
        repository: repository.id,
        project: repository.project,
        name: repository.name,
        pusher: caller.principal,
        updates: [...updates],
        tagged,
        commits: [...decision.commits],
        checks: [...checks],
        certificate: stored,
        certificateNonce: certificate?.nonce ?? null,
      };
      faultPoint('source.before_recorded');
      await journal.record({
        fact: pushAccepted,
        stream: `repository/${repository.id}`,
        actor: actorOf(caller),
        payload,
      });
      session.accepted = payload;
    } catch (error) {
      await dropObjects(dir, kept);
      const reason = Problem.is(error) ? `${error.code}: ${error.message}` : 'the record could not be written';
      return await refuse(session, updates, [
        failed('record', {
          code: 'source.not_recorded',
          expected: 'the push on record',
          found: reason,
          fix: 'push again; if it stays, tell an administrator',
        }),
      ]);
    }
    faultPoint('source.after_accepted');
    for (const update of updates) session.approved.add(`${update.ref} ${update.new}`);
    return {
      ok: true,
      lines: renderAcceptance({
        commits: decision.commits.length,
        checks,
        warnings: decision.warnings,
        link: linkTo(push),
      }),
    };
  }

  async function refuse(
    session: Session,
    updates: readonly RefUpdate[],
    checks: readonly Check[],
  ): Promise<HookAnswer> {
    const { repository, caller, push } = session;
    await journal.record({
      fact: pushRefused,
      stream: `repository/${repository.id}`,
      actor: actorOf(caller),
      payload: {
        push,
        repository: repository.id,
        project: repository.project,
        name: repository.name,
        pusher: caller.principal,
        updates: updates.slice(0, limits.refs).map((update) => ({ ...update, ref: cut(update.ref, 300) })),
        checks: [...forRecord(checks)],
      },
    });
    return { ok: false, lines: renderRefusal(checks, linkTo(push)) };
  }

  return {
    receive,
    configuration,
    answerHook,
    async settle(repository, push) {
      const session = openSession(repository, {
        principal: 'system',
        kind: 'system',
        name: 'source',
        origin: { kind: 'system' },
        credential: { type: 'none', id: 'none' },
      });
      try {
        await settleAs(session, push);
      } finally {
        sessions.delete(session.secret);
      }
    },
    moving(repository) {
      const found = [...sessions.values()].filter((session) => session.repository.id === repository);
      return new Map(
        found.flatMap((session) => session.accepted?.updates ?? []).map((update) => [update.ref, update.old]),
      );
    },
    useSocket(socket) {
      socketPath = socket.path;
    },
    async idle() {
      while (queues.size > 0) await Promise.all(queues.values());
    },
  };
}

async function readRef(place: GitPlace, ref: string): Promise<string> {
  const { stdout } = await runGit(place, ['rev-parse', '--verify', '--quiet', ref], { accept: [0, 1, 128] });
  return stdout.toString('latin1').trim() || '0'.repeat(40);
}

/** Only a directory inside this repository's own object store. */
function quarantineIn(dir: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const full = resolve(dir, path);
  if (!full.startsWith(`${resolve(dir, 'objects')}${sep}`))
    throw new Error('the quarantine lies outside the repository');
  return full;
}

async function readCertificate(
  place: GitPlace,
  env: Readonly<Record<string, string>>,
): Promise<PushCertificate | null> {
  const id = env['GIT_PUSH_CERT'];
  if (id === undefined || !isObjectId(id)) return null;
  const broken = { text: '', nonce: '', nonceStatus: 'unreadable' };
  const [found] = await statObjects(place, [id]);
  if (found?.type !== 'blob' || found.size > CERTIFICATE_BYTES_MAX) return broken;
  for await (const { bytes } of readObjects(place, [id])) {
    return {
      text: bytes.toString('utf8'),
      nonce: env['GIT_PUSH_CERT_NONCE'] ?? '',
      nonceStatus: env['GIT_PUSH_CERT_NONCE_STATUS'] ?? '',
    };
  }
  return broken;
}

/** A fact has room for the first problems; their number stays true. */
function forRecord(checks: readonly Check[]): readonly Check[] {
  const short = checks
    .slice(0, CHECKS_RECORDED_MAX)
    .map(
      (check) =>
        Object.fromEntries(
          Object.entries(check).map(([key, value]) => [key, cut(value as string, CHECK_CHARS_MAX)]),
        ) as unknown as Check,
    );
  const more = checks.length - short.length;
  return more === 0 ? short : [...short, failed('more', { code: 'source.more_problems', found: `${more} more` })];
}

const refusal = (reason: string): HookAnswer => ({ ok: false, lines: [`Waybill refuses this change: ${reason}.`] });

const busy = (name: string) =>
  new Problem({
    code: 'source.push_busy',
    kind: 'unavailable',
    message: `Another push to ${name} is being decided.`,
    hint: 'Wait until it is through, fetch, and push again.',
  });

async function commitsBehindTags(place: GitPlace, updates: readonly RefUpdate[]): Promise<PushAccepted['tagged']> {
  const tagged: PushAccepted['tagged'] = [];
  for (const { ref, new: object } of updates) {
    const commit = ref.startsWith('refs/tags/') && !isZeroId(object) ? await peelToCommit(place, object) : undefined;
    if (commit !== undefined && commit !== object) tagged.push({ ref, commit });
  }
  return tagged;
}
