/** Protected paths: what a build trusts, so that changing it takes a right of its own. */

export const defaultProtectedPaths: readonly string[] = [
  'Dockerfile*',
  '*.Dockerfile',
  'Containerfile*',
  '.dockerignore',
  '.github/workflows/**',
  '.github/actions/**',
  '.waybill/**',
  'action.yml',
  'action.yaml',
  'Makefile',
  'GNUmakefile',
  '*.gradle',
  '*.gradle.kts',
  'gradle-wrapper.*',
  'pom.xml',
  'package-lock.json',
  'npm-shrinkwrap.json',
  'yarn.lock',
  'pnpm-lock.yaml',
  'poetry.lock',
  'uv.lock',
  'Pipfile.lock',
  'Cargo.lock',
  'go.sum',
  'Gemfile.lock',
  'composer.lock',
  '.npmrc',
  '.yarnrc*',
  '.gitattributes',
  '.gitmodules',
];

export interface ProtectedPaths {
  /** The pattern that protects the path, or undefined. */
  find(path: string): string | undefined;
}

/**
 * A pattern without a slash names files at any depth; with one it starts at the root. `*` stays within a name,
 * `**` crosses. Compared without case and in one Unicode form. A file, link or submodule put in the place of a
 * folder that leads to protected files is protected as well.
 */
export function protectPaths(patterns: readonly string[]): ProtectedPaths {
  const compiled = patterns.map((pattern) => ({
    pattern,
    matches: compile(pattern),
    folders: leadingFolders(pattern),
  }));
  return {
    find(path) {
      const folded = foldPath(path);
      return compiled.find(({ matches, folders }) => matches.test(folded) || folders.includes(folded))?.pattern;
    },
  };
}

function compile(pattern: string): RegExp {
  const folded = foldPath(pattern);
  const source = folded
    .split(/(\*\*\/|\*\*|\*|\?)/)
    .map(
      (part) =>
        ({ '**/': '(?:[^/]+/)*', '**': '.*', '*': '[^/]*', '?': '[^/]' })[part] ??
        part.replace(/[.+^${}()|[\]\\]/g, '\\$&'),
    )
    .join('');
  return new RegExp(`^${folded.includes('/') ? '' : '(?:.*/)?'}${source}$`, 's');
}

/** `.github/workflows/**` → `.github`, `.github/workflows`. */
function leadingFolders(pattern: string): string[] {
  const parts = foldPath(pattern).split('/');
  const fixed = parts.findIndex((part) => part.includes('*') || part.includes('?'));
  const folders = parts.slice(0, fixed === -1 ? parts.length - 1 : fixed);
  return folders.map((_, index) => folders.slice(0, index + 1).join('/'));
}

/** Case, composition and the characters that file systems ignore or map (NTFS trailing dots, HFS+ joiners). */
export function foldPath(path: string): string {
  return path
    .normalize('NFC')
    .replace(/[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g, '')
    .toLowerCase()
    .split('/')
    .map((part) => part.replace(/[. ]+$/, (end) => (part === end ? part : '')))
    .join('/');
}
