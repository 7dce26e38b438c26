/** What can be asked of the engine: `noun:verb`. A permission that is not listed here does not exist and is refused. */
export const permissions = [
  'instance:admin',
  'identity:admin',
  'project:create',
  'project:read',
  'project:admin',
  'source:read',
  'source:push',
  'source:push-protected',
  'source:approve',
  'build:read',
  'build:run',
  'artifact:read',
  'artifact:upload-playground',
  'artifact:publish',
  'release:request',
  'release:approve',
  'environment:admin',
  'deploy:read',
  'deploy:request',
  'deploy:report',
  'ledger:read',
  'ledger:watch',
  'audit:read',
  'audit:erase',
  'runner:claim',
] as const;

export type Permission = (typeof permissions)[number];

const read = [
  'project:read',
  'source:read',
  'build:read',
  'artifact:read',
  'deploy:read',
  'ledger:read',
  'ledger:watch',
] as const;

/**
 * The built-in roles. None holds `artifact:publish`: release repositories are written by the control plane alone, and the
 * owner is no exception. The owner approves nothing by being owner either; `release:approve` is a role of its own.
 */
export const roles = {
  owner: [
    ...read,
    'instance:admin',
    'identity:admin',
    'project:create',
    'project:admin',
    'environment:admin',
    'release:request',
    'deploy:request',
    'audit:read',
    'audit:erase',
  ],
  maintainer: [
    ...read,
    'project:admin',
    'source:push',
    'source:push-protected',
    'source:approve',
    'build:run',
    'artifact:upload-playground',
    'release:request',
    'deploy:request',
  ],
  developer: [...read, 'source:push', 'build:run', 'artifact:upload-playground', 'release:request'],
  'release-approver': [...read, 'release:approve'],
  reader: [...read],
  /** `ledger:watch`: the newest checkpoint and how the log grew, so that a rewritten log is noticed; no fact of anybody. */
  runner: ['runner:claim', 'ledger:watch'],
  agent: ['deploy:report', 'artifact:read', 'deploy:read', 'ledger:watch'],
} as const satisfies Record<string, readonly Permission[]>;

export type Role = keyof typeof roles;
export const roleNames = Object.keys(roles) as Role[];

/** What the server's own workers may do. Nobody can log in as them: they hold no credential. */
export const systemPermissions: readonly Permission[] = [
  'project:read',
  'source:read',
  'build:read',
  'build:run',
  'artifact:read',
  'artifact:publish',
  'deploy:read',
  'ledger:read',
];

/** What the holder of the data directory may do from the server's own console: let people and machines in. Nothing else. */
export const consolePermissions: readonly Permission[] = ['identity:admin'];

export function isPermission(text: string): text is Permission {
  return (permissions as readonly string[]).includes(text);
}
