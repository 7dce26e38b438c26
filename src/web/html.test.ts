import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { html, type HtmlValue, join, nothing, path, toText } from './html.ts';

const decode = (text: string): string =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&#96;', '`')
    .replaceAll('&amp;', '&');

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('<script>alert(1)</script>', '" onclick="x', "' onfocus='x", '</title>', '&lt;', '<!--', ']]>', '`'),
);

test('no text leaves the place it was put in, in content or in an attribute', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const content = toText(html`<p>${text}</p>`).slice(3, -4);
      const attribute = toText(html`<p title="${text}"></p>`).slice(10, -6);
      for (const shown of [content, attribute]) {
        assert.doesNotMatch(shown, /[<>"'`\0]/);
        assert.equal(decode(shown), text.replaceAll('\0', '\ufffd'));
      }
    }),
  );
});

test('markup stays markup, lists are put together, and nothing shows nothing', () => {
  const item = (text: string) => html`<li>${text}</li>`;
  assert.equal(toText(html`${['a', '<b>'].map(item)}`), '<li>a</li><li>&lt;b&gt;</li>');
  assert.equal(toText(html`${null}${undefined}${false}${nothing}${0}`), '0');
  assert.equal(toText(join(['a', html`<b>b</b>`], html`<i></i>`)), 'a<i></i><b>b</b>');
});

test('what came as JSON cannot pass for markup', () => {
  fc.assert(
    fc.property(fc.object(), (value) => {
      assert.throws(() => html`${JSON.parse(JSON.stringify(value)) as HtmlValue}`);
    }),
  );
});

test('a value outside quotes in a tag, or in a script, is refused', () => {
  // Spelled as lists, because the formatter would add the missing quotes.
  const template = (literals: string[]) => html(Object.assign(literals, { raw: literals }), 'x');
  assert.doesNotThrow(() => template(['<a href="', '">']));
  for (const literals of [
    ['<a href=', '>'],
    ['<a ', '>'],
    ['<', '>'],
    ["<a title='", "'>"],
    ['<a title="x" href=', '>'],
    ['<script>', '</script>'],
    ['<style>', '</style>'],
  ]) {
    assert.throws(() => template(literals), literals.join('…'));
  }
});

test('a path has as many segments as it shows, whatever is put in', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (segment) => {
      const url = new URL(path`/projects/${segment}/builds`, 'https://waybill.test');
      fc.pre(segment !== '.' && segment !== '..');
      assert.equal(url.origin, 'https://waybill.test');
      assert.equal(url.pathname.split('/').length, 4);
      assert.equal(url.search + url.hash, '');
    }),
  );
});
