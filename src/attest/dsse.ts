/** Dead Simple Signing Envelope v1, with the one signature a bundle allows. */

export interface Envelope {
  /** base64 */
  payload: string;
  payloadType: typeof IN_TOTO_PAYLOAD_TYPE;
  signatures: [{ sig: string }];
}

export const IN_TOTO_PAYLOAD_TYPE = 'application/vnd.in-toto+json';

/** What is signed: type and payload, each behind its length in bytes, so neither can run into the other. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

export function renderEnvelope(payload: Uint8Array, signature: Uint8Array): Envelope {
  return {
    payload: Buffer.from(payload).toString('base64'),
    payloadType: IN_TOTO_PAYLOAD_TYPE,
    signatures: [{ sig: Buffer.from(signature).toString('base64') }],
  };
}
