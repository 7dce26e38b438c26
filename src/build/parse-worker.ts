/** Runs in a Worker with little memory and a deadline: reads an untrusted workflow file into a plain tree with positions. */
import { registerHooks } from 'node:module';
import { parentPort } from 'node:worker_threads';
import type { ParsedFile, Tree } from './tree.ts';

// The parser imports JSON files without the attribute that Node demands.
registerHooks({
  load: (url, context, next) =>
    url.endsWith('.json') ? next(url, { ...context, importAttributes: { type: 'json' } }) : next(url, context),
});

const parser = await import('@actions/workflow-parser');
type Token = Parameters<typeof parser.isMapping>[0];

function toTree(token: Token): Tree {
  const at = { line: token.line ?? 0, column: token.col ?? 0 };
  if (parser.isMapping(token)) {
    const entries = [...token].map(({ key, value }) => ({
      key: key.toDisplayString(),
      at: { line: key.line ?? 0, column: key.col ?? 0 },
      value: toTree(value),
    }));
    return { kind: 'mapping', at, entries };
  }
  if (parser.isSequence(token)) return { kind: 'sequence', at, items: [...token].map(toTree) };
  if (parser.isBasicExpression(token)) return { kind: 'expression', at, expression: token.expression };
  if (parser.isBoolean(token) || parser.isNumber(token)) return { kind: 'scalar', at, value: token.value };
  if (parser.isString(token)) return { kind: 'scalar', at, value: token.value };
  return { kind: 'scalar', at, value: null };
}

function parse({ path, content }: { path: string; content: string }): ParsedFile {
  const result = parser.parseWorkflow({ name: path, content }, new parser.NoOperationTraceWriter());
  const errors = result.context.errors.getErrors().map((error) => {
    const place = /\(Line: (\d+), Col: (\d+)\)/.exec(error.message);
    const message = error.message.replace(/^.*?\(Line: \d+, Col: \d+\):\s*/, '');
    return { line: Number(place?.[1] ?? 0), column: Number(place?.[2] ?? 0), message };
  });
  return { errors, root: errors.length === 0 && result.value ? toTree(result.value) : null };
}

parentPort?.on('message', (file: { path: string; content: string }) => parentPort?.postMessage(parse(file)));
