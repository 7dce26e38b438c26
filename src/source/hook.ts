/**
 * What git runs as `pre-receive` and `reference-transaction`: asks the server over its socket and prints the answer.
 * Runs by itself, with nothing of Waybill loaded. No answer is a refusal.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

const forwarded = ['GIT_QUARANTINE_PATH', 'GIT_PUSH_CERT', 'GIT_PUSH_CERT_NONCE', 'GIT_PUSH_CERT_NONCE_STATUS'];
const ANSWER_CHARS_MAX = 1024 * 1024;

function refuse(reason: string): never {
  process.stderr.write(`Waybill refuses this change: ${reason}.\n`);
  process.exit(1);
}

const path = process.env['WAYBILL_GATE_SOCKET'];
const session = process.env['WAYBILL_GATE_SESSION'];
if (path === undefined || session === undefined)
  refuse('refs of this repository move only through a push to the server');

const question = {
  session,
  hook: process.argv[2] ?? '',
  input: readFileSync(0, 'utf8'),
  env: Object.fromEntries(
    forwarded.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  ),
};

const socket = connect(path);
let answer = '';
socket.setEncoding('utf8');
socket.on('error', () => refuse('the source gate cannot be reached'));
socket.on('data', (chunk: string) => {
  answer += chunk;
  if (answer.length > ANSWER_CHARS_MAX) refuse('the source gate answered nonsense');
});
socket.on('end', () => {
  try {
    const { ok, lines } = JSON.parse(answer) as { ok: unknown; lines: unknown };
    if (Array.isArray(lines)) process.stderr.write(lines.map((line) => `${String(line)}\n`).join(''));
    process.exitCode = ok === true ? 0 : 1;
  } catch {
    refuse('the source gate broke off');
  }
});
socket.end(`${JSON.stringify(question)}\n`);
