import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Check, failed, notChecked, passed, Problem, verdictOf } from '#base';
import { identityContract } from '#identity';
import type { Invocation, Run } from './command.ts';
import { withClient } from './connect.ts';
import { openHome } from './home.ts';
import { renderVerdict } from './output.ts';

const NODE_MAJOR = 24;
/** Program → what needs it. */
const TOOLS = {
  git: 'repositories',
  bwrap: 'builds',
  prlimit: 'builds',
  unshare: 'the runner of waybill up',
  setpriv: 'the runner of waybill up',
  'ssh-keygen': 'signed commits',
} as const;

/** What on this machine would get in the way, each with its fix. */
export const diagnose: Run = async (invocation) => {
  const checks = [checkNode(), ...checkTools(invocation), checkUser(), ...(await checkLogin(invocation))];
  const verdict = { ...verdictOf(checks, { allowNotChecked: true }) };
  return {
    document: verdict,
    text: renderVerdict(invocation.terminal, verdict, 'Nothing gets in the way.', 'Something gets in the way.'),
    exit: verdict.ok ? 'yes' : 'no',
  };
};

function checkNode(): Check {
  const { node } = process.versions;
  if (Number(node.split('.')[0]) >= NODE_MAJOR) return passed('node', node);
  return failed('node', { code: 'cli.node_old', expected: `${NODE_MAJOR} or newer`, found: node, fix: 'Run npm ci.' });
}

function checkTools({ terminal }: Invocation): Check[] {
  const directories = [...(terminal.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'].filter(Boolean);
  return Object.entries(TOOLS).map(([tool, use]) => {
    const found = directories.map((directory) => join(directory, tool)).find(isExecutable);
    if (found !== undefined) return passed(tool, found);
    const fix = 'apt-get install git bubblewrap util-linux openssh-client';
    return failed(tool, { code: 'cli.tool_missing', expected: `${tool}, for ${use}`, found: 'not in PATH', fix });
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function checkUser(): Check {
  if (process.getuid?.() === 0)
    return passed('runner user', 'started by root, waybill up runs builds under another user');
  return passed('runner user', 'waybill up runs builds under your own user; start it as root to separate them');
}

async function checkLogin(invocation: Invocation): Promise<Check[]> {
  const login = await openHome(invocation.terminal).login();
  const server = invocation.flag('server') ?? invocation.terminal.env['WAYBILL_SERVER'] ?? login?.server;
  if (server === undefined) return [notChecked('login', 'you are not logged in; waybill login does that')];
  try {
    const who = await withClient(invocation, (client) => client.call(identityContract.whoami));
    return [passed('server', `${server} answers over TLS 1.3`), passed('login', `you are ${who.name}`)];
  } catch (error) {
    if (!Problem.is(error)) throw error;
    return [
      failed('server', { code: error.code, expected: `${server} answers`, found: error.message, fix: error.hint }),
    ];
  }
}
