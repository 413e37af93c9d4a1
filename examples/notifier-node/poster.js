// What this notifier does: post deliveries to their URL.
import http from 'node:http';
import https from 'node:https';
import { Egress, Refused } from './egress.js';
import { Permanent, members } from './plugin.js';

const MOST_READ = 64 * 1024; // bytes of an answer
const keys = { user_agent: { type: 'string', description: 'the header user-agent of every delivery; left out: postrider-node' } };

export class Poster {
  name = 'node';
  version = '1.0.0';
  maxInFlight = 256;
  configurationSchema = { type: 'object', properties: keys, additionalProperties: false };

  // configure gets what stands under plugins.node.config, and what may be reached. What it throws refuses the configuration.
  configure(configuration, egressAllow) {
    const { user_agent: userAgent = 'postrider-node' } = members(configuration, keys, 'key');
    this.egress = new Egress(egressAllow);
    this.userAgent = userAgent;
  }

  // notify makes one attempt and returns the receiver's word on it. What it throws is the plugin's own failure.
  async notify(delivery, signal) {
    members(delivery.settings, {}, 'setting');
    if (!URL.canParse(delivery.url)) return rejected("the recipient's URL can't be read: correct it");
    const url = new URL(delivery.url);
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return rejected("the recipient's URL must begin with http:// or https://");
    const [type, body] = enveloped(delivery);
    const headers = {
      'content-type': type, 'content-length': Buffer.byteLength(body), 'user-agent': this.userAgent,
      'webhook-id': delivery.delivery_id, 'webhook-attempt': delivery.attempt,
    };
    if (delivery.traceparent) headers.traceparent = delivery.traceparent; // W3C Trace Context
    try {
      return outcomeOf(await this.post(url, headers, body, signal));
    } catch (error) {
      if (error instanceof Refused) return rejected(error.message); // until the operator allows it, that can't work
      if (error.code === 'ERR_INVALID_CHAR') throw new Permanent('a name of the delivery has characters that no header takes');
      return { status: 'STATUS_RETRY', reason: `the recipient can't be reached: ${error.message}` };
    }
  }

  post(url, headers, body, signal) {
    this.egress.check(url.hostname); // addresses; names are checked when they have been looked up
    const { request } = url.protocol === 'https:' ? https : http; // follow no redirects, and know no proxies
    return new Promise((resolve, reject) => {
      const sent = request(url, { method: 'POST', headers, signal, lookup: this.egress.lookup }, (answer) => {
        const parts = [];
        let size = 0;
        const done = () => resolve({ code: answer.statusCode, retryAfter: answer.headers['retry-after'], body: Buffer.concat(parts) });
        answer.on('data', (part) => {
          parts.push(part);
          if ((size += part.length) > MOST_READ) done(answer.destroy());
        });
        answer.on('end', done).on('error', reject);
      });
      sent.on('error', reject).end(body);
    });
  }
}

const rejected = (reason) => ({ status: 'STATUS_REJECTED', reason });

function outcomeOf({ code, retryAfter, body }) {
  const outcome = { status: 'STATUS_DELIVERED', code, excerpt: body.subarray(0, 4096).toString() };
  if (code >= 200 && code < 300) return outcome;
  if (code === 410) return { ...outcome, ...rejected('the recipient wants no more deliveries'), gone: true };
  const seconds = /^\d{1,4}$/.test(retryAfter ?? '') ? Math.min(Number(retryAfter), 3600) : 0;
  return { ...outcome, status: 'STATUS_RETRY', reason: `the recipient answered with ${code}`, retry_after_ms: seconds * 1000 };
}

// enveloped returns the content type and the body. The payload's bytes are passed through as they are.
function enveloped({ envelope, event, event_id: id, time_ms: ms, payload }) {
  const data = payload.length > 0 ? payload.toString() : 'null';
  const time = new Date(Number(ms)).toISOString();
  const around = (names) => `${JSON.stringify(names).slice(0, -1)},"data":${data}}`;
  switch (envelope) {
    case 'standard': return ['application/json', around({ type: event, timestamp: time })];
    case 'cloudevents': return ['application/cloudevents+json',
      around({ specversion: '1.0', source: 'postrider', datacontenttype: 'application/json', id, type: event, time })];
    case 'raw': return ['application/json', data];
    default: throw new Permanent(`no envelope is called "${envelope}"`);
  }
}
