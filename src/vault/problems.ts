import { Problem } from '#base';

const RESTORE = 'Restore the vault directory and the database from the same backup, and find out who wrote to it.';

export const masterKeyExposed = (found: string) =>
  new Problem({
    code: 'vault.master_key_exposed',
    kind: 'unavailable',
    message: `The master key file is not private: ${found}.`,
    hint: 'Make it a plain file owned by the server, mode 0600. If others could read it, treat every key as leaked.',
  });

export const masterKeyMissing = () =>
  new Problem({
    code: 'vault.master_key_missing',
    kind: 'unavailable',
    message: 'Sealed keys exist, but the master key file that opens them is gone.',
    hint: 'Put master.key back from its backup. No new one is made: it could open nothing.',
  });

export const masterKeyInvalid = () =>
  new Problem({
    code: 'vault.master_key_invalid',
    kind: 'unavailable',
    message: 'The master key file does not hold a master key.',
    hint: 'Put master.key back from its backup.',
  });

export const masterKeyWrong = () =>
  new Problem({
    code: 'vault.master_key_wrong',
    kind: 'unavailable',
    message: 'The master key does not open this vault.',
    hint: 'Put back the master.key that belongs to this data directory.',
  });

export const recordMissing = (name: string) =>
  new Problem({
    code: 'vault.record_missing',
    kind: 'unavailable',
    message: `The sealed record of ${name} is gone.`,
    hint: RESTORE,
    details: { name },
  });

export const recordReplaced = (name: string, expected: string, found: string) =>
  new Problem({
    code: 'vault.record_replaced',
    kind: 'unavailable',
    message: `The sealed record of ${name} is not the one that was recorded when it was sealed.`,
    hint: RESTORE,
    details: { name, expected, found },
  });

export const recordAltered = (name: string) =>
  new Problem({
    code: 'vault.record_altered',
    kind: 'unavailable',
    message: `The sealed record of ${name} does not open.`,
    hint: RESTORE,
    details: { name },
  });

export const rowAltered = (name: string) =>
  new Problem({
    code: 'vault.row_altered',
    kind: 'unavailable',
    message: `The database says something about ${name} that its fact does not.`,
    hint: 'Run waybill server rebuild --verify to see which rows were edited.',
    details: { name },
  });

export const keyNotFound = (name: string) =>
  new Problem({
    code: 'vault.key_not_found',
    kind: 'not_found',
    message: `The vault has no key named ${name}.`,
    hint: 'Create the key first.',
    details: { name },
  });

export const keyDiffers = (name: string) =>
  new Problem({
    code: 'vault.key_exists',
    kind: 'conflict',
    message: `The vault has a key named ${name} of another algorithm or purpose.`,
    hint: 'Choose another name: a key serves one purpose.',
    details: { name },
  });
