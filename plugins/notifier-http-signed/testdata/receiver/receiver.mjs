// A receiver as others write one: each path verifies with a library that knows nothing of Postrider, and answers 204, or 401 with the library's
// words. What the paths are, it is told on the command line:
//
//   node receiver.mjs '{"/orders": {"scheme": "standard", "secret": "whsec_…"}}'
//
// It prints its port, and ends with its standard input.
import { createHmac, createPublicKey, timingSafeEqual, verify } from "node:crypto";
import { createServer } from "node:http";
import { verify as verifyGitHub } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";

const schemes = {
  // "raw": the secret as it stands; otherwise whsec_ and base64.
  standard: ({ secret, raw }, headers, body) => new Webhook(secret, raw ? { format: "raw" } : {}).verify(body, headers),

  // The npm package knows no v1a; Node's own ed25519 does. The twelve bytes say "ed25519" in DER (RFC 8410).
  ed25519: ({ secret }, headers, body) => {
    const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(secret.replace("whpk_", ""), "base64")]);
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
    const found = headers["webhook-signature"].split(" ").filter((part) => part.startsWith("v1a,"));
    if (!found.some((part) => verify(null, signed, key, Buffer.from(part.slice(4), "base64")))) {
      throw new Error("no v1a signature by this key");
    }
  },

  github: async ({ secret }, headers, body) => {
    if (!(await verifyGitHub(secret, body, headers["x-hub-signature-256"]))) {
      throw new Error("not signed with this secret");
    }
  },

  stripe: ({ secret }, headers, body) => Stripe.webhooks.constructEvent(body, headers["stripe-signature"], secret),

  // As a Magento module does it: hash_hmac('sha256', $body, $token).
  magento: ({ secret }, headers, body) => {
    const want = Buffer.from(createHmac("sha256", secret).update(body).digest("hex"));
    const got = Buffer.from(headers["x-magento-signature"] ?? "");
    if (got.length !== want.length || !timingSafeEqual(got, want)) {
      throw new Error("not signed with this token");
    }
  },
};

const paths = JSON.parse(process.argv[2]);

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  const path = paths[request.url];
  try {
    await schemes[path.scheme](path, request.headers, Buffer.concat(chunks).toString());
    response.writeHead(204).end();
  } catch (problem) {
    response.writeHead(401).end(String(problem.message));
  }
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit(0));
