// The smallest change from one content to another, and nothing in it that could run.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Element, Node, document } from './dom.mjs';

Object.assign(globalThis, { Element, Node, document });
const { morph } = await import('../lib/morph.js');

function made(html) {
  const target = new Element('div');
  morph(target, html);
  return target;
}

test('an empty element gets the whole content', () => {
  const html = '<b class="x">1 node</b> up <i>3 s</i>';
  assert.equal(made(html).innerHTML, html);
});

test('what is the same stays the same node', () => {
  const target = made('<p id="a">one</p><p>two</p>');
  const [first, second] = target.childNodes;
  const text = first.childNodes[0];
  morph(target, '<p id="a" title="new">one!</p><p>two</p>');
  assert.equal(target.innerHTML, '<p id="a" title="new">one!</p><p>two</p>');
  assert.deepEqual([target.childNodes[0], target.childNodes[1]], [first, second]);
  assert.equal(first.childNodes[0], text, 'a selection in it is kept');
});

test('attributes that are gone are taken away', () => {
  const target = made('<details open="" class="x">a</details>');
  morph(target, '<details class="y">a</details>');
  assert.equal(target.innerHTML, '<details class="y">a</details>');
});

test('rows come, go and change their kind', () => {
  const target = made('<tr>1</tr><tr>2</tr><tr>3</tr>');
  const first = target.childNodes[0];
  morph(target, '<tr>1</tr>');
  assert.equal(target.innerHTML, '<tr>1</tr>');
  morph(target, '<tr>1</tr><p>none</p>text');
  assert.equal(target.innerHTML, '<tr>1</tr><p>none</p>text');
  assert.equal(target.childNodes[0], first);
  morph(target, '<b>1</b>');
  assert.equal(target.innerHTML, '<b>1</b>');
  morph(target, '');
  assert.equal(target.innerHTML, '');
});

for (const bad of [
  '<script>alert(1)</script>',
  '<iframe src="x"></iframe>',
  '<object data="x"></object>',
  '<embed src="x"></embed>',
  '<!--[if IE]>-->'
]) {
  test(`left out: ${bad}`, () => {
    assert.equal(made(`<p>a${bad}</p>b`).innerHTML, '<p>a</p>b');
    const target = made('<p>a<b>c</b></p>b');
    morph(target, `<p>a${bad}</p>b`);
    assert.equal(target.innerHTML, '<p>a</p>b', 'also where something else was');
  });
}

for (const [name, value] of [
  ['onclick', 'alert(1)'],
  ['onError', 'alert(1)'],
  ['href', 'javascript:alert(1)'],
  ['href', ' JavaScript:alert(1)']
]) {
  test(`taken off: ${name}="${value}"`, () => {
    assert.equal(made(`<a ${name}="${value}" title="t">x</a>`).innerHTML, '<a title="t">x</a>');
    const target = made('<a title="t">x</a>');
    morph(target, `<a title="t" ${name}="${value}">x</a>`);
    assert.equal(target.innerHTML, '<a title="t">x</a>', 'also from an element that was there');
  });
}
