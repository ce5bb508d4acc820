// What is left of widgets whose kernel is gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { lastSeen, rest } from '../lib/saved.js';

const VIEW = 'application/vnd.jupyter.widget-view+json';
const HEAD = '<div class="nbray-head"><span class="nbray-dot nbray-dot-ok"></span> <b>2 nodes</b>';
const PANEL = `<style></style><div class="nbray nbray-panel">${HEAD}\n\n<span>0 of 2 CPUs busy</span></div>`;

function outputs(...all) {
  return {
    length: all.length,
    get: index => ({ data: all[index], toJSON: () => ({ output_type: 'display_data', data: all[index] }) }),
    set: (index, output) => {
      all[index] = output.data;
    },
    all
  };
}

test('a panel whose kernel is gone is what was seen last', () => {
  const marked = lastSeen(PANEL);
  assert.match(marked, /<b>2 nodes<\/b>\n<span>as last seen<\/span>/);
  assert.doesNotMatch(marked, /nbray-dot-ok/);
  assert.equal(lastSeen(marked), marked);
});

test('one that has stopped says so already', () => {
  const stopped = PANEL.replace('<span>0 of', '<span>stopped</span>\n<span>0 of').replace('-ok', '-off');
  assert.equal(lastSeen(stopped), stopped);
});

test('only the widgets that are gone leave their HTML', () => {
  const widget = id => ({ 'text/html': PANEL, [VIEW]: { model_id: id } });
  const foreign = { 'text/html': '<b>another</b>', [VIEW]: { model_id: 'x' } };
  const held = outputs(widget('here'), widget('gone'), foreign, { 'text/plain': '1' });
  rest(held, new Set(['here']));
  assert.deepEqual(Object.keys(held.all[0]), ['text/html', VIEW]);
  assert.deepEqual(Object.keys(held.all[1]), ['text/html']);
  assert.match(held.all[1]['text/html'], /as last seen/);
  assert.deepEqual(held.all[2], foreign);
});
