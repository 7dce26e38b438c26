/** Evaluates GitHub expressions with GitHub's own engine, over contexts that are plain data. */
import { data, Evaluator, Lexer, Parser } from '@actions/expressions';
import { reviver } from '@actions/expressions/data/reviver';
import { Problem } from '#base';

export const contextNames = ['github', 'env', 'steps', 'needs', 'matrix', 'runner', 'job'] as const;
export type ContextName = (typeof contextNames)[number];
export type Contexts = Readonly<Partial<Record<ContextName, unknown>>>;

/** What success(), failure(), always() and cancelled() answer. */
export interface RunStatus {
  readonly success: boolean;
  readonly failure: boolean;
  readonly cancelled: boolean;
}

type Token = ReturnType<Lexer['lex']>['tokens'][number];

const EXPRESSION_CHARS_MAX = 21_000;
const statusFunctions = ['success', 'failure', 'always', 'cancelled'] as const;
const functions = statusFunctions.map((name) => ({ name, minArgs: 0, maxArgs: 255 }));

/** Tokens of an expression. The package un-escapes only the first doubled quote of a text; here all of them are. */
function lex(expression: string): Token[] {
  if (expression.length > EXPRESSION_CHARS_MAX) throw new Error('the expression is too long');
  const { tokens } = new Lexer(expression).lex();
  for (const token of tokens) {
    if (token.lexeme.startsWith("'")) token.value = token.lexeme.slice(1, -1).replaceAll("''", "'");
  }
  return tokens;
}

const parse = (expression: string) => new Parser(lex(expression), [...contextNames], functions).parse();

/** Says what is wrong with an expression, or undefined when it could be evaluated. */
export function findExpressionFault(expression: string): string | undefined {
  try {
    parse(expression);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : 'this expression cannot be read';
  }
}

export function evaluate(expression: string, contexts: Contexts, status: RunStatus): unknown {
  try {
    const context = JSON.parse(JSON.stringify(contexts), reviver) as data.Dictionary;
    const answers = { ...status, always: true };
    const bound = new Map(
      functions.map((definition) => {
        const answer = answers[definition.name];
        return [definition.name, { ...definition, call: () => new data.BooleanData(answer) }] as const;
      }),
    );
    return JSON.parse(JSON.stringify(new Evaluator(parse(expression), context, bound).evaluate(), data.replacer));
  } catch (error) {
    throw new Problem({
      code: 'build.expression_failed',
      kind: 'invalid',
      message: `The expression cannot be evaluated: ${error instanceof Error ? error.message : 'unknown fault'}`,
      hint: 'Look for a context or a property that does not exist at this point of the run.',
      details: { expression: expression.slice(0, 200) },
    });
  }
}

/** As GitHub puts a value into a text. */
export function toText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return Array.isArray(value) ? 'Array' : 'Object';
  return String(value as string | number | boolean);
}

/** An `if`: runs only after success, unless the condition itself asks about the status. */
export function evaluateCondition(condition: string | null, contexts: Contexts, status: RunStatus): boolean {
  const text = (condition ?? '').replace(/^\s*\$\{\{([\s\S]*)\}\}\s*$/, '$1').trim();
  if (text === '') return status.success;
  const asksStatus = namesIn(text).some((name) => (statusFunctions as readonly string[]).includes(name.toLowerCase()));
  const value = evaluate(text, contexts, status);
  const holds = value !== '' && value !== 0 && value !== false && value !== null && value !== undefined;
  return holds && (asksStatus || status.success);
}

function namesIn(expression: string): string[] {
  return lex(expression).map((token) => token.lexeme);
}

/** Properties of `github` whose value the platform sets; everything else there may be shaped by whoever pushes. */
const TRUSTED_GITHUB = new Set(
  'sha repository repository_owner run_id run_number run_attempt workflow job event_name server_url workspace action'.split(
    ' ',
  ),
);

/** The first context in the expression that an outsider can shape, such as a branch name; undefined if there is none. */
export function findUntrustedContext(expression: string): string | undefined {
  const names = namesIn(expression);
  for (const [index, name] of names.entries()) {
    if (name.toLowerCase() !== 'github' || names[index - 1] === '.') continue;
    const property = names[index + 1] === '.' ? (names[index + 2] ?? '') : '';
    if (!TRUSTED_GITHUB.has(property.toLowerCase())) return property === '' ? 'github' : `github.${property}`;
  }
  return undefined;
}
