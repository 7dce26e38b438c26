/** A workflow file as plain values with positions; what crosses from the parsing Worker. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export type Tree =
  | { readonly kind: 'mapping'; readonly at: Position; readonly entries: readonly Entry[] }
  | { readonly kind: 'sequence'; readonly at: Position; readonly items: readonly Tree[] }
  /** `expression` without its `${{ }}`; a text with expressions inside arrives as `format('…', …)`. */
  | { readonly kind: 'expression'; readonly at: Position; readonly expression: string }
  | { readonly kind: 'scalar'; readonly at: Position; readonly value: string | number | boolean | null };

export interface Entry {
  readonly key: string;
  readonly at: Position;
  readonly value: Tree;
}

export interface ParsedFile {
  readonly errors: readonly { readonly line: number; readonly column: number; readonly message: string }[];
  readonly root: Tree | null;
}
