// A plugin in Node.js that imports this asks the name server of a test, and no other.
import dns from 'node:dns';

const resolver = new dns.Resolver({ tries: 1 });
resolver.setServers([process.env.TEST_NAME_SERVER]);

// In node:dns a name without any address of a kind is an error of that kind alone.
const resolve = (kind, host) => new Promise((done) => resolver[`resolve${kind}`](host, (error, found) => done(error ? [] : found)));

dns.lookup = async (host, options, callback) => {
  const found = (await Promise.all([4, 6].map(async (family) => (await resolve(family, host)).map((address) => ({ address, family }))))).flat();
  if (found.length > 0) return callback(null, found); // the plugin asks for all
  callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND', hostname: host }));
};
