import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { selfSigned } from './certificate.js';
import { Egress } from './egress.js';
import { Permanent } from './plugin.js';
import { Poster } from './poster.js';

function delivery(url, changes) {
  return {
    delivery_id: 'dlv_1', attempt: 2, event: 'sales.order.created', event_id: 'evt_1', time_ms: '1769851800000', payload: Buffer.from('{"id":1,"cost":"$&"}'),
    url, settings: Buffer.alloc(0), envelope: 'standard', ...changes,
  };
}

async function posted(status, changes, headers = {}) {
  let got;
  const server = http.createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    got = { headers: request.headers, body };
    response.writeHead(status, headers).end('thank you');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const poster = new Poster();
  poster.configure(Buffer.from('{"user_agent":"my shop"}'), ['127.0.0.1']);
  try {
    const outcome = await poster.notify(delivery(`http://127.0.0.1:${server.address().port}/`, changes), AbortSignal.timeout(5000));
    return { outcome, got };
  } finally {
    server.close();
  }
}

test('a receiver gets the payload as it is, in its envelope', async () => {
  const { outcome, got } = await posted(200);
  assert.deepEqual(outcome, { status: 'STATUS_DELIVERED', code: 200, excerpt: 'thank you' });
  assert.equal(got.body, '{"type":"sales.order.created","timestamp":"2026-01-31T09:30:00.000Z","data":{"id":1,"cost":"$&"}}');
  assert.equal(got.headers['webhook-id'], 'dlv_1');
  assert.equal(got.headers['user-agent'], 'my shop');
  assert.equal(got.headers.traceparent, undefined);
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  assert.equal((await posted(200, { traceparent })).got.headers.traceparent, traceparent);
  assert.equal((await posted(200, { envelope: 'raw' })).got.body, '{"id":1,"cost":"$&"}');
  assert.equal(JSON.parse((await posted(200, { envelope: 'cloudevents' })).got.body).specversion, '1.0');
});

test('the answer says what becomes of a delivery', async () => {
  const { outcome: busy } = await posted(503, {}, { 'retry-after': '7' });
  assert.deepEqual([busy.status, busy.code, busy.retry_after_ms], ['STATUS_RETRY', 503, 7000]);
  const { outcome: gone } = await posted(410);
  assert.deepEqual([gone.status, gone.gone], ['STATUS_REJECTED', true]);
  const { outcome: moved } = await posted(302, {}, { location: 'http://127.0.0.1:1/' });
  assert.deepEqual([moved.status, moved.code], ['STATUS_RETRY', 302]);
});

test('what can never work is permanent', async () => {
  await assert.rejects(posted(200, { settings: Buffer.from('{"colour":"red"}') }), (e) => e instanceof Permanent && /"colour"/.test(e.message));
  await assert.rejects(posted(200, { delivery_id: 'a\r\nb: c' }), Permanent);
  await assert.rejects(posted(200, { envelope: 'wax-sealed' }), Permanent);
});

test('the operator\'s network is out of reach unless it is allowed', () => {
  const closed = new Egress([]);
  for (const host of ['127.0.0.1', '10.1.2.3', '169.254.169.254', '172.31.0.1', '192.168.1.1', '0.0.0.0', '168.63.129.16', '100.64.0.1', '224.0.0.1',
    '[::1]', '[::]', '[fe80::1]', '[fd00::1]', '[::ffff:7f00:1]', '[::ffff:127.0.0.1]', '[::ffff:0:7f00:1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', '[2001:db8::1]']) {
    assert.throws(() => closed.check(host), /egress\.allow/, host);
  }
  for (const host of ['93.184.216.34', '[2606:2800:220:1::1]', '[::ffff:93.184.216.34]', 'example.com']) closed.check(host);
  const open = new Egress(['10.1.0.0/16', '127.0.0.1', 'fd00::/8', 'shop.internal']);
  for (const host of ['10.1.2.3', '127.0.0.1', '[fd00::1]']) open.check(host);
  assert.throws(() => open.check('10.2.0.1'));
  assert.throws(() => new Egress(['no host']));
});

test('a name is followed only to addresses that are permitted', async () => {
  const look = (allow) => new Promise((resolve) => new Egress(allow).lookup('localhost', { all: true }, (error, found) => resolve(error ?? found)));
  assert.match((await look([])).message, /localhost has no public address/);
  for (const name of ['localhost', 'LocalHost.']) assert.ok((await look([name])).length > 0, name);
  assert.ok((await look(['127.0.0.0/8', '::1'])).length > 0);
});

test('what must not be reached is rejected, and not tried again', async () => {
  const poster = new Poster();
  poster.configure(Buffer.alloc(0), []);
  for (const host of ['127.0.0.1', 'localhost']) {
    const { status, reason } = await poster.notify(delivery(`http://${host}:1/`), AbortSignal.timeout(5000));
    assert.equal(status, 'STATUS_REJECTED', host);
    assert.match(reason, /egress\.allow/);
  }
});

test('certificates are for localhost, and signed', () => {
  const { certificate } = selfSigned();
  assert.equal(certificate.checkHost('localhost'), 'localhost');
  assert.ok(certificate.verify(certificate.publicKey));
});
