import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { z } from 'zod';
import { defineEndpoint } from '#base';
import { targetOf } from './request.ts';

const show = defineEndpoint({
  name: 'thing.show',
  method: 'GET',
  path: '/api/v1/projects/:project/things/:thing',
  summary: 'Show a thing.',
  auth: 'required',
  params: z.object({ project: z.string(), thing: z.string() }),
  query: z.object({ limit: z.coerce.number().optional(), kind: z.array(z.string()).optional() }),
  response: z.object({}),
});

test('parameters and query stand in the address', () => {
  assert.equal(
    targetOf(show, { params: { project: 'acme', thing: 'a b' }, query: { limit: 5, kind: ['x', 'y&z'] } }),
    '/api/v1/projects/acme/things/a%20b?limit=5&kind=x&kind=y%26z',
  );
});

test('a parameter that would change the route is refused', () => {
  for (const thing of ['', '.', '..', undefined, {}, true]) {
    assert.throws(() => targetOf(show, { params: { project: 'acme', thing } }), { code: 'client.parameter_invalid' });
  }
});

test('no value of a parameter reaches another route', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.constantFrom('*', ':project', '%2e%2e'), fc.string({ unit: 'grapheme', minLength: 1 })),
      (thing) => {
        fc.pre(thing !== '.' && thing !== '..');
        const target = targetOf(show, { params: { project: 'acme', thing } });
        const { pathname, search } = new URL(target, 'https://example.test');
        assert.equal(search, '');
        assert.equal(pathname.split('/').length, 7);
        assert.equal(decodeURIComponent(pathname.split('/')[6] ?? ''), thing);
      },
    ),
  );
});
