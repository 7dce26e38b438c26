/**
 * vault: keys and secrets sealed at rest; it signs without handing out a key.
 * Guarantees: private keys leave this module never, and its memory only sealed; each record is under a key of its own, bound
 * to its name and purpose; the digest of each sealed record is a fact, so a swapped or older record is refused, not used.
 */
export { type KeyAlgorithm, offersAlgorithm } from './record.ts';
export { openVault, type SealedBytes, type Signer, type Vault, type VaultKey, type VaultOptions } from './vault.ts';
export { vaultModule } from './module.ts';
