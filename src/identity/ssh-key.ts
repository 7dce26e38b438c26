import { hash } from 'node:crypto';
import { Problem } from '#base';

export interface SshPublicKey {
  type: string;
  /** `SHA256:<base64 without padding>`, as ssh-keygen prints it. */
  fingerprint: string;
  /** `type base64`, without the comment. */
  text: string;
  comment: string;
}

const types = new Set([
  'ssh-ed25519',
  'sk-ssh-ed25519@openssh.com',
  'ecdsa-sha2-nistp256',
  'sk-ecdsa-sha2-nistp256@openssh.com',
  'ssh-rsa',
]);
const LINE_CHARS_MAX = 4096;
const RSA_BLOB_BYTES_MIN = 300;

/** One line of an OpenSSH public key file → key, or `Problem identity.ssh_key_invalid`. */
export function parseSshPublicKey(line: string): SshPublicKey {
  const [type = '', base64 = '', ...comment] = line.slice(0, LINE_CHARS_MAX).trim().split(/\s+/);
  const blob = Buffer.from(base64, 'base64');
  if (!types.has(type)) throw badKey(`keys of type '${type.slice(0, 40)}' are not accepted`);
  if (blob.toString('base64') !== base64) throw badKey('its base64 is damaged');
  const nameLength = blob.length >= 4 ? blob.readUInt32BE(0) : 0;
  if (blob.subarray(4, 4 + nameLength).toString('latin1') !== type) throw badKey('its type and its content disagree');
  if (type === 'ssh-rsa' && blob.length < RSA_BLOB_BYTES_MIN) throw badKey('RSA keys need at least 2048 bits');
  const fingerprint = `SHA256:${hash('sha256', blob, 'base64').replace(/=+$/, '')}`;
  return { type, fingerprint, text: `${type} ${base64}`, comment: comment.join(' ').slice(0, 100) };
}

const badKey = (why: string) =>
  new Problem({
    code: 'identity.ssh_key_invalid',
    kind: 'invalid',
    message: `This is not a usable SSH public key: ${why}.`,
    hint: 'Make one with: ssh-keygen -t ed25519 -f waybill_signing — and enrol the .pub file.',
  });
