import { type Command, flagsOf, nameOf } from './command.ts';
import { topics } from './help.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** A completion script, made from the same table that parses the words. It never calls the server. */
export function renderCompletion(shell: Shell, commands: readonly Command[]): string {
  const words = completionWords(commands);
  if (shell === 'bash') return renderBash(words);
  if (shell === 'zsh') return `#compdef waybill\nautoload -U +X bashcompinit && bashcompinit\n${renderBash(words)}`;
  return renderFish(commands);
}

/** What may follow each prefix of a line: `` → nouns, `build` → verbs, `build log` → flags. */
export function completionWords(commands: readonly Command[]): ReadonlyMap<string, readonly string[]> {
  const words = new Map<string, string[]>();
  const add = (prefix: string, word: string): void => {
    const known = words.get(prefix) ?? [];
    if (!known.includes(word)) words.set(prefix, [...known, word]);
  };
  for (const command of commands) {
    add('', command.noun);
    if (command.verb !== undefined) add(command.noun, command.verb);
    for (const flag of flagsOf(command)) add(nameOf(command), `--${flag.name}`);
    for (const choice of (command.flags ?? []).flatMap((flag) => flag.choices ?? [])) add(nameOf(command), choice);
  }
  for (const topic of Object.keys(topics)) add('help', topic);
  for (const shell of shells) add('completion', shell);
  return words;
}

function renderBash(words: ReadonlyMap<string, readonly string[]>): string {
  const cases = [...words].map(([prefix, next]) => `    '${prefix}') words='${next.join(' ')}' ;;`);
  return `_waybill() {
  local current=\${COMP_WORDS[COMP_CWORD]} words='' prefix=''
  if [ "$COMP_CWORD" -ge 3 ]; then prefix="\${COMP_WORDS[1]} \${COMP_WORDS[2]}"
  elif [ "$COMP_CWORD" -eq 2 ]; then prefix=\${COMP_WORDS[1]}; fi
  case $prefix in
${cases.join('\n')}
  esac
  if [ -z "$words" ] && [ "$COMP_CWORD" -ge 3 ]; then
    case \${COMP_WORDS[1]} in
${[...words]
  .filter(([prefix]) => prefix !== '' && !prefix.includes(' '))
  .map(([prefix, next]) => `      '${prefix}') words='${next.filter((word) => word.startsWith('--')).join(' ')}' ;;`)
  .join('\n')}
    esac
  fi
  COMPREPLY=()
  local word
  for word in $words; do
    case $word in "$current"*) COMPREPLY+=("$word") ;; esac
  done
}
complete -o default -F _waybill waybill
`;
}

function renderFish(commands: readonly Command[]): string {
  const nouns = Map.groupBy(commands, (command) => command.noun);
  const lines = [...nouns].flatMap(([noun, group]) => [
    fishLine('__fish_use_subcommand', noun, group[0]?.verb === undefined ? group[0]?.summary : undefined),
    ...group.flatMap((command) => [
      ...(command.verb === undefined
        ? []
        : [fishLine(`__fish_seen_subcommand_from ${noun}`, command.verb, command.summary)]),
      ...flagsOf(command).map((flag) => {
        const seen = command.verb === undefined ? noun : `${noun}; and __fish_seen_subcommand_from ${command.verb}`;
        return `complete -c waybill -n '__fish_seen_subcommand_from ${seen}' -l ${flag.name} -d ${quote(flag.summary)}${flag.value === undefined ? '' : ' -r'}`;
      }),
    ]),
  ]);
  return `${[...new Set(lines)].join('\n')}\n`;
}

function fishLine(condition: string, word: string, summary: string | undefined): string {
  return `complete -c waybill -n '${condition}' -a ${word}${summary === undefined ? '' : ` -d ${quote(summary)}`}`;
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
