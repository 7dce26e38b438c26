import { Problem } from '#base';
import type { App } from '#http';
import { ADD_CHECKPOINT_MAX_BYTES, type Ledger } from '#ledger';

/**
 * C2SP tlog-witness: `POST /witness/add-checkpoint`, and `GET /witness/<hex SHA-256 of the origin>/checkpoint` for monitors.
 * Public: only logs that an owner trusted are answered, and only for checkpoints that they signed.
 */
export function registerWitnessRoutes(app: App, { ledger }: { ledger: Ledger }): void {
  const witness = ledger.assurance?.witness;
  if (!witness) return;
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      '*',
      { parseAs: 'string', bodyLimit: ADD_CHECKPOINT_MAX_BYTES },
      (_request, body, done) => done(null, body),
    );
    scope.post('/witness/add-checkpoint', async (request, reply) => {
      const text = typeof request.body === 'string' ? request.body : '';
      const { status, type, body } = await witness.addCheckpoint(text);
      return await reply.code(status).type(type).send(body);
    });
  });
  app.get<{ Params: { hash: string } }>('/witness/:hash/checkpoint', async (request, reply) => {
    const note = await witness.monitor(request.params.hash);
    if (note === undefined) throw notWitnessed();
    return await reply.type('text/plain; charset=utf-8').send(note);
  });
}

const notWitnessed = () =>
  new Problem({
    code: 'wire.log_not_witnessed',
    kind: 'not_found',
    message: 'No checkpoint of this log was cosigned here.',
    hint: 'The path is the SHA-256 of the origin of the log, in hexadecimal.',
  });
