// The cases: a name, what is different from a good session token, and how the verifier is set up.
export const NOW = 1_780_000_000; // seconds; the time at which every case is judged
export const ISSUER = "https://clerk.example.com";
export const APP = "https://app.example.com";
const SESSION = "cl_B7d4PD111AAA";

export const goodHeader = { alg: "RS256", cat: SESSION, kid: "ins_one", typ: "JWT" };
export const goodClaims = {
  azp: APP, exp: NOW + 60, fva: [0, -1], iat: NOW, iss: ISSUER, nbf: NOW - 10,
  sid: "sess_1", sts: "active", sub: "user_1", v: 2,
};

export const cases = [];
const add = (name, change = {}, options = {}) => cases.push({ name, ...change, options });
const shown = (value) => (value === undefined ? "absent" : JSON.stringify(value));
const each = (values, make) => values.forEach(make);

add("good");
add("good, by PEM", {}, { pem: true });

// Header
each([undefined, "JWT", "jwt", "at+jwt", "dpop+jwt", null, "", 1, ["JWT"], "JWT "], (typ) =>
  add(`typ ${shown(typ)}`, { header: { typ } }));
each([undefined, SESSION, "cl_I7d4PD111III", "cl_B7d4PD333AAA", "cl_other", null, "", 7, [SESSION], true],
  (cat) => add(`cat ${shown(cat)}`, { header: { cat } }));
each([undefined, "ins_one", "ins_two", "ins_none", "", null, 1, ["ins_one"], "__proto__", "constructor",
  "INS_ONE", "ins_one\r\nx", "ins_one "], (kid) => add(`kid ${shown(kid)}`, { header: { kid } }));
each([undefined, "none", "ins_none", null], (kid) =>
  add(`by PEM, kid ${shown(kid)}`, { header: { kid } }, { pem: true }));
each([undefined, "none", "None", "HS256", "HS512", "RS384", "RS512", "PS256", "ES256", "EdDSA", "rs256",
  null, "", ["RS256"]], (alg) => add(`alg ${shown(alg)}`, { header: { alg } }));
add("alg HS256, signed with the public key", { header: { alg: "HS256" }, sign: "hmac" });
each([["exp"], ["unknown"], [], "exp", null], (crit) => add(`crit ${shown(crit)}`, { header: { crit } }));
each(["https://evil.example.com/jwks", null], (jku) => add(`jku ${shown(jku)}`, { header: { jku } }));
add("x5u", { header: { x5u: "https://evil.example.com/x" } });
add("jwk in the header", { header: { jwk: { kty: "RSA", n: "AQAB", e: "AQAB" } } });
add("a header parameter that is new", { header: { oiat: NOW } });
add("b64 false", { header: { b64: false } });

// Signature
each(["other", "flipped", "empty", "short", "second"], (sign) => add(`signature ${sign}`, { sign }));
add("signed by the second key, and says so", { header: { kid: "ins_two" }, sign: "second" });
add("signature of another payload", { sign: "swapped" });

// Shape
each(["two parts", "four parts", "empty", "dots", "spaces", "newline at the end", "padded payload",
  "padded signature", "standard alphabet", "junk in the payload", "trailing bits", "header no JSON",
  "payload no JSON", "payload array", "payload null", "payload number", "payload text", "header null",
  "header array", "payload UTF-16", "payload with a mark", "payload no UTF-8", "payload deep",
  "duplicate sub", "NaN elsewhere", "trailing comma", "two payloads", "Bearer before it"], (shape) =>
  add(`shape: ${shape}`, { shape }));

// Times
for (const skew of [-61, -6, -5, -4, 0, 1, 60, 86_339, 86_340, 86_400, 86_401, 315_360_000]) {
  add(`exp ${skew} s ahead`, { claims: { exp: NOW + skew } });
}
each([undefined, null, `${NOW + 60}`, true, false, [], {}, 0, -1, NOW + 60.5, (NOW + 60) * 1000, 1e308],
  (exp) => add(`exp ${shown(exp)}`, { claims: { exp } }));
add("exp too large for a number", { raw: ['"exp":1780000060', '"exp":1e999'] });
for (const name of ["nbf", "iat"]) {
  for (const skew of [-86_400, 0, 4, 5, 6, 60]) {
    add(`${name} ${skew} s ahead`, { claims: { [name]: NOW + skew } });
  }
  each([undefined, null, `${NOW}`, true, [], {}, 0, -1, NOW + 0.5, NOW * 1000], (value) =>
    add(`${name} ${shown(value)}`, { claims: { [name]: value } }));
}

// Who and for whom
each([undefined, null, "", 7, true, ["user_1"], {}, "user_1\r\nx", "\ud800", "u".repeat(300), "mch_1", "ü"],
  (sub) => add(`sub ${shown(sub)}`, { claims: { sub } }));
each([undefined, null, "", 7, ["sess_1"], "sess_1\u0000", "\ud800"], (sid) =>
  add(`sid ${shown(sid)}`, { claims: { sid } }));
const parties = { authorizedParties: [APP] };
each([undefined, null, "", APP, `${APP}/`, "https://evil.example.com", APP.toUpperCase(), [APP], 7], (azp) => {
  add(`azp ${shown(azp)}, none listed`, { claims: { azp } });
  add(`azp ${shown(azp)}, one listed`, { claims: { azp } }, parties);
});
each([undefined, null, "", ISSUER, `${ISSUER}/`, "https://clerk.other.example", [ISSUER], 7], (iss) =>
  add(`iss ${shown(iss)}`, { claims: { iss } }));
const audience = { audience: "bandstand" };
each([undefined, null, "", "bandstand", "other", ["bandstand"], ["other", "bandstand"], ["other"],
  ["bandstand", 7], [], 7, {}, "BANDSTAND"], (aud) => {
  add(`aud ${shown(aud)}, none configured`, { claims: { aud } });
  add(`aud ${shown(aud)}, one configured`, { claims: { aud } }, audience);
});
each([undefined, "active", "pending", null, "", 7, "PENDING"], (sts) =>
  add(`sts ${shown(sts)}`, { claims: { sts } }));
each([undefined, 1, 3, "2"], (v) => add(`v ${shown(v)}`, { claims: { v } }));
add("an actor", { claims: { act: { sub: "user_support" } } });
add("an actor that is a text", { claims: { act: "user_support" } });
add("version 1 claims", { claims: { v: undefined, org_id: "org_1", org_role: "org:admin" } });
add("version 2 organisation", { claims: { o: { id: "org_1", rol: "admin" } } });
add("a Jazz secret", { claims: { m: { s: "sealerSecret_zNONE/signerSecret_zNONE" } } });
add("a Jazz account id", { claims: { jazzAccountID: "co_zNONE" } });
add("larger than 8 KiB", { claims: { more: "x".repeat(8192) } });
