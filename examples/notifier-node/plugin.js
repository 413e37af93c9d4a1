// What every plugin does, whatever it is for: shake hands, describe itself, take its configuration, and answer the requests of one stream. The rules are in
// proto/README.md.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { selfSigned } from './certificate.js';

const MESSAGE = 16 << 20; // bytes: a payload may have 4 MiB, and a message holds several requests
const files = ['plugin.proto', '../../proto/plugin.proto'].map((name) => fileURLToPath(new URL(name, import.meta.url)));
const definition = loadSync(files.find(existsSync), { keepCase: true, longs: String, enums: String, defaults: true }); // ids have 64 bits
const { Plugin, Notifier } = grpc.loadPackageDefinition(definition).postrider.plugin.v1;

// Permanent is an error that trying again can't change.
export class Permanent extends Error {}

// members reads a JSON object, and refuses by name what isn't in properties, or has another type.
export function members(bytes, properties, noun) {
  let object;
  try {
    object = JSON.parse(bytes.length > 0 ? bytes.toString() : '{}') ?? {};
  } catch {
    throw new Permanent(`the ${noun}s are not valid JSON`);
  }
  if (typeof object !== 'object' || Array.isArray(object)) throw new Permanent(`the ${noun}s must be a JSON object`);
  for (const [name, value] of Object.entries(object)) {
    if (!Object.hasOwn(properties, name)) throw new Permanent(`there is no ${noun} "${name}"`);
    if (typeof value !== properties[name].type) throw new Permanent(`${noun} "${name}" must be a ${properties[name].type}`);
  }
  return object;
}

export async function serve(plugin) {
  if (process.env.POSTRIDER_PLUGIN !== 'postrider.plugin.v1') {
    console.log(`${plugin.name} ${plugin.version}: a notifier plugin for Postrider. The daemon starts it; see README.md.`);
    return;
  }
  const server = new grpc.Server({ 'grpc.max_receive_message_length': MESSAGE, 'grpc.max_send_message_length': MESSAGE });
  const state = { configured: false };
  server.addService(Plugin.service, {
    Describe: (_, reply) => reply(null, {
      name: plugin.name, version: plugin.version, role: 'ROLE_NOTIFIER', max_in_flight: plugin.maxInFlight,
      configuration_schema: Buffer.from(JSON.stringify(plugin.configurationSchema)),
    }),
    Configure: ({ request }, reply) => {
      try {
        plugin.configure(request.configuration, request.egress_allow);
        state.configured = true;
        reply(null, {});
      } catch (error) {
        reply(null, { refusal: error.message });
      }
    },
    Check: (_, reply) => reply(null, {}),
  });
  server.addService(Notifier.service, { Notify: (stream) => answer(stream, plugin, state) });

  // AutoMTLS: the daemon's certificate came in the environment, ours goes with the handshake. Nobody else gets in.
  const { certificate, privateKey } = selfSigned();
  const credentials = grpc.ServerCredentials.createSsl(Buffer.from(process.env.PLUGIN_CLIENT_CERT),
    [{ private_key: Buffer.from(privateKey), cert_chain: Buffer.from(certificate.toString()) }], true);
  const socket = join(process.env.PLUGIN_UNIX_SOCKET_DIR, `plugin${process.pid}`);
  await new Promise((resolve, reject) => server.bindAsync(`unix:${socket}`, credentials, (error) => (error ? reject(error) : resolve())));
  console.log(`1|1|unix|${socket}|grpc|${certificate.raw.toString('base64').replace(/=+$/, '')}`); // what is printed after it is logged

  const parent = process.ppid; // on Linux the kernel ends a plugin with its daemon; this is for elsewhere
  setInterval(() => process.ppid === parent || process.exit(1), 250).unref();
}

// answer does the requests of the stream side by side, and answers each of them once.
function answer(stream, plugin, state) {
  const running = new Map(); // what ends a request, by its id
  const work = async (request) => {
    const stop = new AbortController();
    const left = Math.min(Number(request.remaining_ms) || Infinity, 2 ** 31 - 1);
    const timer = setTimeout(() => stop.abort(), left);
    running.set(request.id, stop);
    const result = await attempt(request, stop.signal);
    clearTimeout(timer);
    running.delete(request.id);
    if (stream.writable) stream.write({ answers: [{ id: request.id, ...result }] });
  };
  const attempt = async (request, signal) => {
    try {
      if (!state.configured) throw new Error('the plugin is not configured yet');
      return { outcome: await plugin.notify(request, signal) };
    } catch (error) {
      const kind = error instanceof Permanent ? 'KIND_PERMANENT' : signal.aborted ? 'KIND_CANCELLED' : 'KIND_UNSPECIFIED';
      return { failure: { kind, message: error.message } };
    }
  };
  stream.on('data', ({ requests, cancelled }) => {
    requests.forEach(work);
    cancelled.forEach((id) => running.get(id)?.abort()); // what isn't there was answered already
  });
  const end = () => running.forEach((stop) => stop.abort());
  stream.on('end', () => stream.end(end())).on('cancelled', end).on('error', end);
}
