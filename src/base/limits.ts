/** Limits that more than one module needs. A limit that one module needs stands in that module, with its reason. */
export const limits = {
  /** A JSON request body. The largest legitimate one is a bundle with a large statement. */
  jsonBodyBytes: 1024 * 1024,
  /** One blob of an artifact. */
  artifactBytes: 8 * 1024 ** 3,
  /** One page of a list. */
  pageItems: 200,
  pageItemsDefault: 50,
  /** A fact's payload. It must stay far below a ledger leaf's neighbour in the database page cache. */
  factPayloadBytes: 256 * 1024,
} as const;
