// Verdicts of Clerk's own verifier on tokens of every kind, at a fixed time. Writes ../clerk.json.
// Keys are made afresh and thrown away: only public ones are written.
import { constants, createHmac, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";

import { APP, ISSUER, NOW, cases, goodClaims, goodHeader } from "./cases.mjs";

const pair = () => generateKeyPairSync("rsa", { modulusLength: 2048 });
const [one, two, other] = [pair(), pair(), pair()];
const pem = one.publicKey.export({ type: "spki", format: "pem" });
const jwk = (key, kid) => ({ ...key.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" });
const jwks = { keys: [jwk(one.publicKey, "ins_one"), jwk(two.publicKey, "ins_two")] };

Date.now = () => NOW * 1000;
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length ? given : [NOW * 1000]));
  }
};
globalThis.fetch = async () => new Response(JSON.stringify(jwks), { status: 200 });

const base64 = (data) => Buffer.from(data).toString("base64url");

function signature(text, how, alg) {
  if (how === "hmac") return base64(createHmac("sha256", pem).update(text).digest());
  if (how === "empty") return "";
  const { privateKey } = { other, second: two }[how] ?? one;
  const hash = { RS384: "sha384", RS512: "sha512", PS256: "sha256" }[alg] ?? "sha256";
  const key = alg === "PS256" ? { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING } : privateKey;
  const made = sign(hash, Buffer.from(how === "swapped" ? `${text}x` : text), key);
  if (how === "flipped") made[10] ^= 1;
  return base64(how === "short" ? made.subarray(1) : made);
}

function without(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

function make({ header = {}, claims = {}, sign: how, shape, raw }) {
  const head = without({ ...goodHeader, ...header });
  let headText = JSON.stringify(head);
  let body = JSON.stringify(without({ ...goodClaims, ...claims }));
  if (raw) body = body.replace(...raw);
  const bodies = {
    "payload no JSON": "{", "payload array": "[]", "payload null": "null", "payload number": "7",
    "payload text": '"x"', "payload UTF-16": Buffer.from(body, "utf16le"), "payload with a mark": `\ufeff${body}`,
    "payload no UTF-8": Buffer.concat([Buffer.from(body.slice(0, -1) + ',"x":"'), Buffer.from([0xff]), Buffer.from('"}')]),
    "payload deep": body.slice(0, -1) + `,"x":${"[".repeat(1500)}${"]".repeat(1500)}}`,
    "duplicate sub": body.slice(0, -1) + ',"sub":"user_2"}', "NaN elsewhere": body.slice(0, -1) + ',"x":NaN}',
    "trailing comma": body.slice(0, -1) + ",}", "two payloads": body + body,
  };
  const heads = { "header no JSON": "{", "header null": "null", "header array": "[]" };
  body = bodies[shape] ?? body;
  headText = heads[shape] ?? headText;
  let payload = base64(body);
  if (shape === "padded payload") payload += "=".repeat((4 - (payload.length % 4)) % 4 || 4);
  if (shape === "junk in the payload") payload = payload.slice(0, 8) + "!" + payload.slice(8);
  const text = `${base64(headText)}.${payload}`;
  let parts = [...text.split("."), signature(text, how, head.alg)];
  if (shape === "padded signature") parts[2] += "==";
  if (shape === "standard alphabet") parts[2] = Buffer.from(parts[2], "base64url").toString("base64").replace(/=+$/, "");
  if (shape === "trailing bits") parts[2] = parts[2].slice(0, -1) + { A: "B", Q: "R", g: "h", w: "x" }[parts[2].at(-1)];
  if (shape === "two parts") parts = parts.slice(0, 2);
  if (shape === "four parts") parts.push(parts[2]);
  if (shape === "empty") parts = [""];
  if (shape === "dots") parts = ["", "", ""];
  if (shape === "spaces") parts[0] = ` ${parts[0]}`;
  if (shape === "newline at the end") parts[2] += "\n";
  if (shape === "Bearer before it") parts[0] = `Bearer ${parts[0]}`;
  return parts;
}

// After the fetch of our own is in place: the package keeps the one that it finds.
const { createClerkClient, verifyToken } = await import("@clerk/backend");
const setUp = ({ pem: byPem, ...options }) => ({
  ...(byPem ? { jwtKey: pem } : { secretKey: "none", skipJwksCache: true }),
  issuer: ISSUER,
  ...options,
});

async function verified(token, options) {
  try {
    await verifyToken(token, setUp(options));
    return { accepted: true };
  } catch (error) {
    return { accepted: false, reason: String(error.reason ?? error.name) };
  }
}

/** What `authenticateRequest` adds: kinds of tokens, sessions with tasks left to do. */
async function authenticated(token, options) {
  try {
    const client = createClerkClient({ secretKey: "sk_live_none", publishableKey: `pk_live_${btoa("clerk.example.com$")}` });
    const headers = { Authorization: `Bearer ${token}` };
    const request = new Request(APP, { headers });
    const state = await client.authenticateRequest(request, setUp({ ...options }));
    const auth = state.toAuth();
    return { accepted: Boolean(state.isAuthenticated && auth && auth.userId), reason: state.reason ?? null };
  } catch (error) {
    return { accepted: false, reason: `throws ${error.name}` };
  }
}

const table = [];
for (const { name, options, ...change } of cases) {
  const parts = make(change);
  const token = parts.join(".");
  table.push({ name, options, parts, verify: await verified(token, options), authenticate: await authenticated(token, options) });
}
const made = { verifier: "@clerk/backend 3.25.0", now: NOW, issuer: ISSUER, jwks, pem: pem.trim().split("\n"), cases: table };
writeFileSync(new URL("../clerk.json", import.meta.url), `${JSON.stringify(made, null, 1)}\n`);
const names = new Set(table.map((each) => each.name));
if (names.size !== table.length) throw new Error("two cases have one name");
console.log(`${table.length} cases, ${table.filter((each) => each.verify.accepted).length} accepted`);
