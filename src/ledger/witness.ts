import { Problem } from '#base';
import type { Clock } from '#base';
import { type Actor, type Journal, systemActor } from '#journal';
import type { Db, Objects } from '#storage';
import { parseAddCheckpoint } from './addcheckpoint.ts';
import type { AddCheckpoint } from './addcheckpoint.ts';
import { parseCheckpointLines } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import { logDistrusted, logTrusted, logWitnessed } from './facts.ts';
import { originHash, originStream, recordFork } from './fork.ts';
import { emptyRoot, hashBase64, hashFromBase64 } from './hash.ts';
import type { Hash } from './hash.ts';
import { openNote, parseNote, renderNote, renderSignatureLine } from './note.ts';
import type { NoteSignature } from './note.ts';
import { verifyConsistency } from './proof.ts';
import { findTrustedLog, findWitnessed, listForks, listTrustedLogs, listWitnessed } from './store.ts';
import type { WitnessedLogRow } from './store.ts';
import type { NoteSigner, NoteVerifier } from './vkey.ts';
import { parseVkey } from './vkey.ts';

/** C2SP tlog-witness, as the HTTP answer it is. */
export interface WitnessAnswer {
  status: 200 | 400 | 403 | 404 | 409 | 422;
  type: 'text/plain; charset=utf-8' | 'text/x.tlog.size';
  body: string;
}

/** We look at other logs and vouch that what they show us only grows. */
export interface Witness {
  /** Our keys, the Ed25519 one first. */
  readonly verifiers: readonly NoteVerifier[];
  /** Atomic: what is answered 200 was compared with, and stored over, what we cosigned before; durable before it is answered. */
  addCheckpoint(body: string): Promise<WitnessAnswer>;
  /** `hash`: hex SHA-256 of the origin. The newest checkpoint we cosigned, with our cosignatures. */
  monitor(hash: string): Promise<string | undefined>;
  /** From now on checkpoints signed by this key are cosigned. The origin is the key's name. `ledger.log_key_changed` for another key. */
  trustLog(actor: Actor, vkey: string): Promise<void>;
  /** Cosigns it no more. `ledger.log_unknown`. */
  distrustLog(actor: Actor, wanted: { origin: string; reason: string }): Promise<void>;
  logs(): Promise<WitnessLog[]>;
}

export interface WitnessLog {
  origin: string;
  vkey: string;
  size: number | undefined;
  forked: boolean;
}

export interface WitnessOptions {
  journal: Journal;
  db: Db;
  objects: Pick<Objects, 'put'>;
  clock: Clock;
  cosigners: readonly NoteSigner[];
}

export function createWitness(options: WitnessOptions): Witness {
  const { journal, db, cosigners } = options;
  const queues = new Map<string, Promise<unknown>>();

  /** One submission of a log at a time; the transaction compares once more all the same. */
  function inTurn<T>(origin: string, work: () => Promise<T>): Promise<T> {
    const done = (queues.get(origin) ?? Promise.resolve()).then(work, work);
    const settled = done
      .catch(() => undefined)
      .then(() => {
        if (queues.get(origin) === settled) queues.delete(origin);
      });
    queues.set(origin, settled);
    return done;
  }

  async function cosign(text: string): Promise<NoteSignature[]> {
    return await Promise.all(cosigners.map((cosigner) => cosigner.sign(text)));
  }

  async function judge(request: AddCheckpoint): Promise<WitnessAnswer> {
    const { text, signatures } = parseNote(request.note);
    const checkpoint = parseCheckpointLines(text);
    const { origin } = checkpoint;
    const log = await findTrustedLog(db, origin);
    if (!log) return refuse(404, 'This log is not known here.');
    const verifier = parseVkey(log.vkey);
    if (!isSignedBy(request.note, verifier)) return refuse(403, 'The checkpoint is not signed by the key we know.');

    const stored = storedOf(await findWitnessed(db, origin));
    const known = await listForks(db, origin);
    if (stored && stored.size === checkpoint.size && stored.root !== checkpoint.root) {
      // Two roots for one size, both signed: evidence, whatever else is wrong with the request.
      await recordFork(options, {
        fork: 'split_view',
        origin,
        vkey: log.vkey,
        first: stored.note,
        second: onlyOf(text, signatures, verifier),
        noticedBy: cosigners[0]?.verifier.name ?? 'witness',
      });
    } else if (known.length > 0) {
      return refuse(403, 'This log has contradicted itself; it is not cosigned any more.');
    }
    const refusal = refusalOf(request, checkpoint, stored);
    if (refusal) return refusal;
    const lines = await cosign(text);
    const answer = ok(lines.map(renderSignatureLine).join(''));
    // Nothing changes: saying so again at a later time needs no record.
    if (stored?.size === checkpoint.size) return answer;
    const own = signatures.filter((line) => isLineOf(line, verifier));
    await journal.record({
      fact: logWitnessed,
      payload: {
        origin,
        size: checkpoint.size,
        root: hashBase64(checkpoint.root),
        note: renderNote(text, [...own, ...lines]),
      },
      stream: originStream(origin),
      actor: systemActor('witness'),
      async guard(tx) {
        const now = await findWitnessed(tx, origin);
        if (now?.fact !== stored?.fact) throw moved();
      },
    });
    return answer;
  }

  return {
    verifiers: cosigners.map(({ verifier }) => verifier),
    async addCheckpoint(body) {
      let request: AddCheckpoint;
      let origin: string;
      try {
        request = parseAddCheckpoint(body);
        ({ origin } = parseCheckpointLines(parseNote(request.note).text));
      } catch (error) {
        if (Problem.is(error)) return refuse(400, error.message);
        throw error;
      }
      return await inTurn(origin, async () => {
        try {
          return await judge(request);
        } catch (error) {
          // Another process was faster: what it stored is what counts now.
          if (Problem.is(error) && error.code === 'ledger.witness_moved') return await judge(request);
          throw error;
        }
      });
    },
    async monitor(hash) {
      if (!/^[0-9a-f]{64}$/.test(hash)) return undefined;
      return (await listWitnessed(db)).find(({ origin }) => originHash(origin) === hash)?.note;
    },
    async trustLog(actor, vkey) {
      const verifier = parseVkey(vkey);
      if (verifier.algorithm !== 'ed25519') throw notALogKey();
      const known = await findTrustedLog(db, verifier.name);
      if (known?.vkey === vkey) return;
      if (known) throw keyChanged(verifier.name);
      await journal.record({
        fact: logTrusted,
        payload: { origin: verifier.name, vkey },
        stream: originStream(verifier.name),
        actor,
      });
    },
    async distrustLog(actor, { origin, reason }) {
      if (!(await findTrustedLog(db, origin))) throw logUnknown(origin);
      await journal.record({
        fact: logDistrusted,
        payload: { origin, reason },
        stream: originStream(origin),
        actor,
      });
    },
    async logs() {
      const [logs, witnessed, forks] = await Promise.all([listTrustedLogs(db), listWitnessed(db), listForks(db)]);
      return logs.map(({ origin, vkey }) => ({
        origin,
        vkey,
        size: witnessed.find((row) => row.origin === origin)?.size,
        forked: forks.some((row) => row.origin === origin),
      }));
    },
  };
}

type Stored = Checkpoint & { note: string; fact: number };

function storedOf(row: WitnessedLogRow | undefined): Stored | undefined {
  return row && { ...row, root: hashFromBase64(row.root) as Hash };
}

/** The checks of C2SP tlog-witness in its order; pure. Proofs are judged against the root we stored, never one from the request. */
export function refusalOf(
  { oldSize, path }: AddCheckpoint,
  { size, root }: Checkpoint,
  stored: Checkpoint | undefined,
): WitnessAnswer | undefined {
  const storedSize = stored?.size ?? 0;
  if (oldSize > size) return refuse(400, 'The old size is larger than the checkpoint.');
  if (oldSize !== storedSize) return { status: 409, type: 'text/x.tlog.size', body: `${storedSize}\n` };
  if (size === 0 && root !== emptyRoot) return refuse(422, 'The root of the empty tree is another.');
  if (oldSize === 0) return path.length === 0 ? undefined : refuse(422, 'Nothing can be proven from the empty tree.');
  const oldRoot = (stored as Checkpoint).root;
  if (verifyConsistency({ oldSize, newSize: size, oldRoot, newRoot: root, path })) return undefined;
  return refuse(422, 'The checkpoint does not continue the one that was cosigned before.');
}

function isSignedBy(note: string, verifier: NoteVerifier): boolean {
  try {
    return openNote(note, [verifier]).signers.has(verifier);
  } catch (error) {
    if (Problem.is(error)) return false;
    throw error;
  }
}

const isLineOf = (line: NoteSignature, { name, keyId }: NoteVerifier): boolean =>
  line.name === name && line.keyId === keyId;

const onlyOf = (text: string, signatures: readonly NoteSignature[], verifier: NoteVerifier): string =>
  renderNote(
    text,
    signatures.filter((line) => isLineOf(line, verifier)),
  );

function ok(body: string): WitnessAnswer {
  return { status: 200, type: 'text/plain; charset=utf-8', body };
}

function refuse(status: 400 | 403 | 404 | 422, message: string): WitnessAnswer {
  return { status, type: 'text/plain; charset=utf-8', body: `${message}\n` };
}

const moved = () =>
  new Problem({
    code: 'ledger.witness_moved',
    kind: 'conflict',
    message: 'Another checkpoint of this log was cosigned at the same moment.',
    hint: 'Submit the checkpoint again.',
  });

const logUnknown = (origin: string) =>
  new Problem({
    code: 'ledger.log_unknown',
    kind: 'not_found',
    message: `We do not witness a log named ${origin}.`,
    hint: 'See `waybill ledger witness list` for those that we do.',
  });

const notALogKey = () =>
  new Problem({
    code: 'ledger.vkey_invalid',
    kind: 'invalid',
    message: 'This is not the key of a log.',
    hint: 'Give the key that `waybill ledger status` of the other server prints.',
  });

const keyChanged = (origin: string) =>
  new Problem({
    code: 'ledger.log_key_changed',
    kind: 'rejected',
    message: `Another key is known for ${origin}.`,
    hint: 'A log keeps its key for ever. If the other server was set up anew, it needs another name.',
  });
