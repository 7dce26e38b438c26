/**
 * ledger: tamper-evident logs (C2SP tlog-tiles) over what the other modules record.
 * Guarantees: entries and tiles are durable before the checkpoint that covers them is signed, and that is durable
 * before anyone sees it; no size is ever signed with two roots, no smaller size after a larger one; a log that
 * contradicts its own signature or its source does not go on. Everything needed to verify works offline.
 */
export { type AuditProgress, type LogAudit } from './audit.ts';
export { MAX_ENTRY_BYTES } from './bundle.ts';
export {
  type Checkpoint,
  openCheckpoint,
  parseCheckpoint,
  renderCheckpoint,
  type SignedCheckpoint,
} from './checkpoint.ts';
export { emptyRoot, type Hash, hashBase64, hashBytes, hashFromBase64, hashHex, leafHash, nodeHash } from './hash.ts';
export { openNote, parseNote, renderNote } from './note.ts';
export { type ConsistencyProof, type InclusionProof, verifyConsistency, verifyInclusion } from './proof.ts';
export { type LeafSource, type SourceName } from './source.ts';
export { openTileLog, type TileLog, type TileLogOptions } from './tilelog.ts';
export { parseTlogProof, renderTlogProof, type TlogProof, verifyTlogProof } from './tlogproof.ts';
export {
  createCosigner,
  createNoteSigner,
  createNoteVerifier,
  type KeySigner,
  type NoteSigner,
  type NoteVerifier,
  parseVkey,
  signNote,
} from './vkey.ts';
export {
  presentConsistency,
  presentFactProof,
  presentLedger,
  presentVerdict,
  showConsistency,
  showFactProof,
  showLedger,
  verifyLedgerNow,
} from './contract.ts';
export { createLedger, type FactProof, type Ledger, type LedgerOptions } from './ledger.ts';
export { ADD_CHECKPOINT_MAX_BYTES, parseAddCheckpoint, renderAddCheckpoint } from './addcheckpoint.ts';
export { type Anchor, openAnchor } from './anchor.ts';
export { ledgerModule } from './apply.ts';
export { type Assurance, type AssuranceOptions } from './assurance.ts';
export {
  addPeer,
  checkEverything,
  compareCheckpoint,
  confirmErasure,
  distrustLog,
  exportFactNow,
  listErasures,
  presentWitnesses,
  proveStreamNow,
  requestErasure,
  setWitnessPolicy,
  showFork,
  showWitnesses,
} from './contract-assurance.ts';
export { exportFact, type FactFile, parseFactFile, verifyFactFile } from './factfile.ts';
export { type UsedWitness, type WitnessExchange, type WitnessState } from './cosigning.ts';
export { type ForkFile, originHash, parseForkFile, renderForkFile, verifyForkFile } from './fork.ts';
export { type Leaf, opensCommitment, parseLeaf } from './leaf.ts';
export { type Peer } from './peers.ts';
export { judgeCheckpoint, parsePolicy, type Policy, quorumReached, renderPolicy, renderPolicyText } from './policy.ts';
export { createStreamMap, type MapProof, type StreamHead, verifyMapProof } from './streammap.ts';
export { parseStreamProof, StreamProof, verifyStreamProof } from './streamproof.ts';
export { type Witness, type WitnessAnswer, type WitnessLog } from './witness.ts';
