// A certificate for this process alone. Node.js reads certificates and makes none, so it is put together here: X.509 (RFC 5280) in DER.
import { X509Certificate, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

function der(tag, ...parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const size = body.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}
const sequence = (...parts) => der(0x30, ...parts);
const oid = (hex) => der(0x06, Buffer.from(hex, 'hex'));
const date = (ms) => der(0x17, new Date(ms).toISOString().replace(/^20|[-:T]|\.\d+/g, ''));

// selfSigned returns a certificate for localhost, as the daemon asks for, and its private key in PEM.
export function selfSigned() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(oid('2a8648ce3d040302')); // ecdsa-with-SHA256
  const name = sequence(der(0x31, sequence(oid('550403'), der(0x0c, 'localhost')))); // commonName
  const alternatives = sequence(oid('551d11'), der(0x04, sequence(der(0x82, 'localhost')))); // subjectAltName
  const year = 365 * 24 * 3600 * 1000;
  const content = sequence(
    der(0xa0, der(0x02, [2])), // version 3
    der(0x02, [1], randomBytes(8)), // serial number
    algorithm, name, sequence(date(Date.now() - 60_000), date(Date.now() + 20 * year)), name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(alternatives)),
  );
  const signature = sign('sha256', content, privateKey);
  return {
    certificate: new X509Certificate(sequence(content, algorithm, der(0x03, [0], signature))),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  };
}
