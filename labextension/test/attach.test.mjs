// The attach cell, and what buttons, palette and tests share.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { attachCode } from '../lib/attach.js';
import { Commands, IClusters } from '../lib/tokens.js';

test('the cell names the address and no secret', () => {
  assert.equal(
    attachCode({ address: '127.0.0.1:6379', secret: 'hush' }),
    '%load_ext nbray\n%nbray attach 127.0.0.1:6379'
  );
});

test('each command has a name of its own, and the plugins one token', () => {
  const names = Object.values(Commands);
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.every(name => name.startsWith('nbray:')));
  assert.equal(IClusters.name, 'nbray:IClusters');
});
