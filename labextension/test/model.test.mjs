// The clusters as the server tells of them: the socket, its loss, the requests and their failures.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

let sockets, timers, requests, answers, seen;

class Socket {
  readyState = 0;
  sent = [];
  constructor(url) {
    this.url = url;
    sockets.push(this);
  }
  send(text) {
    this.sent.push(text);
  }
  open() {
    this.readyState = 1;
    this.onopen();
  }
  tell(told) {
    this.onmessage({ data: JSON.stringify(told) });
  }
}

const settings = {
  baseUrl: 'http://lab/', wsUrl: 'ws://lab/', token: 'a b', appendToken: true, WebSocket: Socket
};
globalThis.server = {
  settings,
  async request(url, init) {
    requests.push([init.method, url, init.body && JSON.parse(init.body)]);
    const answer = answers.shift();
    if (answer instanceof Error) {
      throw answer;
    }
    const [status, text] = await answer;
    return { ok: status < 400, status, text: async () => text };
  }
};
globalThis.document = { hidden: false, addEventListener: (_, slot) => (document.seen = slot) };
globalThis.window = { setTimeout: (act, after) => timers.push([act, after]) };
const { ClustersModel } = await import('../lib/model.js');

const CLUSTER = { id: 'c1', address: '127.0.0.1:6379', head: true, added: 0 };
const VIEW = { kind: 'view', html: '<b>1 node</b>', nodes: 1, busy: 0, cpus: 2, error: '' };
const ANSWER = '{"clusters": [], "note": ""}';
const settled = () => new Promise(resolve => setImmediate(resolve));

beforeEach(() => {
  [sockets, timers, requests, answers, seen] = [[], [], [], [], 0];
  document.hidden = false;
});

function model() {
  const made = new ClustersModel();
  made.changed.connect(() => (seen += 1));
  return made;
}

test('it listens, and looks only while the page is in sight', () => {
  assert.equal(model().state, 'waiting');
  const [socket] = sockets;
  assert.equal(socket.url, 'ws://lab/api/nbray/events?token=a%20b');
  document.seen();
  assert.deepEqual(socket.sent, [], 'not before it is open');
  socket.open();
  document.hidden = true;
  document.seen();
  assert.deepEqual(socket.sent, ['look', 'rest']);
});

test('clusters and views arrive, and views of clusters that are gone go', () => {
  const told = model();
  const [socket] = sockets;
  socket.tell({ kind: 'clusters', clusters: [CLUSTER], note: '' });
  socket.tell({ ...VIEW, id: 'c1' });
  assert.deepEqual([told.state, told.clusters.length, seen], ['on', 1, 2]);
  assert.equal(told.view('c1').html, VIEW.html);
  socket.tell({ kind: 'clusters', clusters: [], note: 'none runs here' });
  assert.deepEqual([told.view('c1'), told.note], [undefined, 'none runs here']);
});

test('a start says that it is under way, and the address', async () => {
  const told = model();
  let answer;
  answers.push(new Promise(resolve => (answer = resolve)));
  const started = told.start('kernel-1', 2);
  assert.equal(told.starting, true);
  answer([200, '{"address": "127.0.0.1:6379"}']);
  assert.equal(await started, '127.0.0.1:6379');
  assert.equal(told.starting, false);
  const [request] = requests;
  assert.deepEqual(request, ['POST', 'http://lab/api/nbray/clusters', { kernel: 'kernel-1', cpus: 2 }]);
});

test('a cluster is busy until all that is done to it is done', async () => {
  const told = model();
  const finish = [];
  answers.push(...[0, 1].map(() => new Promise(resolve => finish.push(resolve))));
  const added = [told.addNode('c1'), told.addNode('c1')];
  finish[0]([200, '']);
  await added[0];
  assert.deepEqual([told.busy('c1'), told.busy('c2')], [true, false]);
  finish[1]([500, '']);
  await assert.rejects(added[1], { message: 'The server answered 500.' });
  assert.equal(told.busy('c1'), false);
});

test('each request has its address', async () => {
  const told = model();
  answers.push([200, ''], [200, ''], [200, '{"line": "nbray start"}']);
  await told.removeNode('c1');
  await told.stop('c1');
  assert.equal(await told.joinLine('c1'), 'nbray start');
  assert.deepEqual(
    requests.map(([method, url]) => `${method} ${url.slice(11)}`),
    ['DELETE api/nbray/clusters/c1/nodes', 'DELETE api/nbray/clusters/c1', 'POST api/nbray/clusters/c1/join']
  );
});

for (const [answer, words] of [
  [[409, '{"message": "No CPU is left."}'], /^No CPU is left\.$/],
  [[502, '<html>Bad gateway</html>'], /^The server answered 502\.$/],
  [[404, ''], /does not serve nbray: run `nbray doctor`/],
  [[405, '<html>Method Not Allowed</html>'], /does not serve nbray: run `nbray doctor`/],
  [new TypeError('Failed to fetch'), /^The Jupyter server does not answer\.$/]
]) {
  test(`a failure is a sentence: ${words}`, async () => {
    const told = model();
    answers.push(answer);
    await assert.rejects(told.stop('c1'), error => words.test(error.message));
    assert.equal(told.busy('c1'), false);
  });
}

test('a lost socket is opened again, ever later, and a good one begins anew', async () => {
  const told = model();
  sockets[0].tell({ kind: 'clusters', clusters: [CLUSTER], note: '' });
  const pauses = [];
  for (let time = 0; time < 7; time += 1) {
    answers.push([200, ANSWER]);
    sockets.at(-1).onclose();
    const [again, after] = timers.pop();
    pauses.push(after);
    await settled();
    again();
  }
  assert.deepEqual(pauses, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
  assert.deepEqual([told.state, told.clusters.length], ['on', 1], 'it was only the socket');
  sockets.at(-1).open();
  sockets.at(-1).tell({ kind: 'clusters', clusters: [CLUSTER], note: '' });
  answers.push([200, ANSWER]);
  sockets.at(-1).onclose();
  assert.equal(timers.pop()[1], 500);
  await settled();
});

for (const [who, said] of [
  ['nobody: it opens and closes', []],
  ['the dashboard', ['{"number": 1, "state": "live", "html": "<p>"}']],
  ['a proxy that speaks no JSON', ['Bad gateway']],
  ['another that sends an array', ['[1, 2]', 'null']]
]) {
  test(`whoever else answers is asked ever more seldom, too: ${who}`, async () => {
    const told = model();
    const pauses = [];
    for (let time = 0; time < 6; time += 1) {
      const socket = sockets.at(-1);
      socket.close = () => socket.onclose();
      answers.push([200, '<html>not ours</html>']);
      socket.open();
      said.slice(0, 1).forEach(data => socket.onmessage({ data }));
      if (!said.length) {
        socket.close();
      }
      const [again, after] = timers.pop();
      pauses.push(after);
      await settled();
      again();
    }
    assert.deepEqual(pauses, [500, 1000, 2000, 4000, 8000, 8000]);
    assert.equal(told.state, 'off');
    assert.match(told.note, /^Something else than nbray answers/);
    assert.equal(timers.length, 0);
  });
}

test('what a newer server says beside the rest is left aside', () => {
  const told = model();
  sockets[0].close = () => assert.fail('it hung up');
  sockets[0].tell({ kind: 'news', id: 'c1' });
  sockets[0].tell({ kind: 'clusters', clusters: [CLUSTER], note: '' });
  assert.deepEqual([told.state, told.view('c1')], ['on', undefined]);
});

test("the dashboard is found below the page's own server", () => {
  assert.equal(model().dashboard('c1'), 'http://lab/nbray-dashboard/c1/');
});

for (const [answer, words] of [
  [new TypeError('Failed to fetch'), /^No connection to the Jupyter server; trying again\.$/],
  [[404, ''], /does not serve nbray/]
]) {
  test(`a lost server is said: ${words}`, async () => {
    const told = model();
    sockets[0].tell({ kind: 'clusters', clusters: [CLUSTER], note: '' });
    sockets[0].tell({ ...VIEW, id: 'c1' });
    answers.push(answer);
    sockets[0].onclose();
    await settled();
    assert.deepEqual([told.state, told.clusters.length, told.view('c1')], ['off', 0, undefined]);
    assert.match(told.note, words);
  });
}
