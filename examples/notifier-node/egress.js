// Which addresses may be reached: every public one, and in the operator's own network only what egress.allow names.
import dns from 'node:dns';
import { BlockList, isIP } from 'node:net';

const special = new BlockList(); // https://www.iana.org/assignments/iana-ipv4-special-registry, and Azure's metadata
for (const range of ['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '168.63.129.16/32', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24',
  '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/3']) add(special, range);
const global = new BlockList(); // of IPv6, what is handed out, less what leads elsewhere
for (const range of ['2000::/3', '::ffff:0:0/96']) add(global, range); // the second one is IPv4, which special knows in this spelling too
for (const range of ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']) add(special, range);

function add(list, range) {
  const [address, bits] = range.split('/');
  list.addSubnet(address, Number(bits ?? (isIP(address) === 6 ? 128 : 32)), `ipv${isIP(address)}`);
}

// nameOf returns a host name's one spelling, with which it is compared: lower case, international names as name servers know them, no trailing dot.
const nameOf = (host) => new URL(`http://${host}`).hostname.replace(/\.$/, '');

// Refused is the error of what must not be reached.
export class Refused extends Error {
  constructor(what) {
    super(`${what}: name it in egress.allow if it is meant`);
  }
}

export class Egress {
  #names = new Set();
  #allowed = new BlockList();

  constructor(allow) {
    for (const entry of allow) {
      if (isIP(entry.split('/')[0])) add(this.#allowed, entry);
      else this.#names.add(nameOf(entry));
    }
  }

  #permits(address) {
    const family = `ipv${isIP(address)}`;
    return this.#allowed.check(address, family)
      || (!special.check(address, family) && (family === 'ipv4' || global.check(address, family)));
  }

  // check throws where a host is an address that must not be reached.
  check(host) {
    const address = host.replace(/^\[|\]$/g, '');
    if (isIP(address) && !this.#permits(address)) throw new Refused(`${address} is not a public address`);
  }

  // lookup is dns.lookup for http.request, without the addresses that must not be reached.
  lookup = (host, options, callback) => {
    dns.lookup(host, { ...options, all: true }, (error, found) => {
      if (error) return callback(error);
      const permitted = this.#names.has(nameOf(host)) ? found : found.filter(({ address }) => this.#permits(address));
      if (permitted.length === 0) return callback(new Refused(`${host} has no public address`));
      return options.all ? callback(null, permitted) : callback(null, permitted[0].address, permitted[0].family);
    });
  };
}
