// Makes roles.json: what real cojson says about who has which role in a group, at which time.
//
//     node generate_roles.mjs [folder with node_modules/cojson of 0.20.19] > roles.json
//
// Every group is written as raw transactions, so that refused ones are in it too, then loaded into
// a LocalNode of its own world, which is asked `group.atTime(t).roleOfInternal(member)`.
//
// Output: `ids` and `headers` by name; per world its groups, each with `sessions` in the order of
// arrival: [author, last part of the session id, transactions]. A transaction is
// [madeAt, key, value] if it sets one key to a text, or else [madeAt, its other members].
// `<name>` in it stands for an id. `roles` has one letter (see `letters`) for each of the world's
// `times`, by member; members without any role are left out. The output is the same on each run.

import { pathToFileURL } from "node:url";
import { resolve } from "node:path";
import { random, registry } from "./roles/registry.mjs";
import { crafted } from "./roles/crafted.mjs";
import { arbitrary } from "./roles/arbitrary.mjs";

const home = process.argv[2]
  ? pathToFileURL(resolve(process.argv[2]) + "/")
  : new URL("../interop/clients/0.20.19/", import.meta.url);
const cojson = await import(new URL("node_modules/cojson/dist/index.js", home));
const { WasmCrypto } = await import(
  new URL("node_modules/cojson/dist/crypto/WasmCrypto.js", home)
);
const crypto = await WasmCrypto.create();

const letters = {
  admin: "a",
  manager: "m",
  writer: "w",
  reader: "r",
  writeOnly: "o",
  adminInvite: "A",
  managerInvite: "M",
  writerInvite: "W",
  readerInvite: "R",
  writeOnlyInvite: "O",
};

function letter(role) {
  if (role === undefined) return "-";
  if (!(role in letters)) throw new Error(`unexpected role ${role}`);
  return letters[role];
}

function isAsked(names, member) {
  return member === "everyone" || names.ids[member] !== undefined;
}

// What arrives one after the other: sessions, or single transactions in the order of their times.
function deliveries(world) {
  const whole = Object.entries(world.groups).flatMap(([name, group]) =>
    group.sessions.map(([author, session, transactions]) => [name, author, session, transactions]),
  );
  if (!world.live) return whole;
  return whole
    .flatMap(([name, author, session, list]) => list.map((t) => [name, author, session, [t]]))
    .sort((a, b) => a[3][0][0] - b[3][0][0]);
}

function answer(names, world) {
  const secret = crypto.newRandomAgentSecret();
  const agent = crypto.getAgentID(secret);
  const node = new cojson.LocalNode(secret, `${agent}_session_z1`, crypto);
  const core = (name) => node.getCoValue(names.id(name));
  const fill = (text) => text.replaceAll(/<([\w:]+)>/g, (_, name) => names.id(name));
  for (const name of Object.keys(world.groups)) {
    if (!core(name).provideHeader(names.headers[name])) throw new Error(`header of ${name}`);
  }
  for (const [name, author, session, transactions] of deliveries(world)) {
    const error = core(name).tryAddTransactions(
      `${names.id(author)}_session_z${session}`,
      transactions.map(([madeAt, changes, rest]) =>
        rest?.privacy === "private"
          ? { encryptedChanges: "encrypted_Uabc", keyUsed: "key_zabc", madeAt, ...rest }
          : { changes: fill(changes), madeAt, privacy: "trusting", ...rest },
      ),
      "signature_z1",
      true, // No signature is checked here: this is about permissions.
    );
    if (error) throw new Error(`${world.name}: ${error.type} ${error.error}`);
    // Some worlds are watched while they happen: cojson cannot read circles all at once.
    if (world.live) Object.keys(world.groups).forEach((each) => core(each).getCurrentContent());
  }
  for (const [name, group] of Object.entries(world.groups)) {
    const before = JSON.stringify(core(name).knownState());
    const content = core(name).getCurrentContent();
    // cojson throws here for a group without a single valid transaction: nobody has a role.
    content.parentGroupsChanges ??= new Map();
    group.roles = {};
    for (const member of world.members.filter((each) => isAsked(names, each))) {
      const id = member === "everyone" ? member : names.id(member);
      const row = world.times.map((at) => letter(content.atTime(at).roleOfInternal(id)));
      if (row.some((each) => each !== "-")) group.roles[member] = row.join("");
    }
    if (before !== JSON.stringify(core(name).knownState()))
      throw new Error(`${world.name}: reading ${name} wrote to it`);
  }
}

const names = registry((header) => cojson.cojsonInternals.idforHeader(header, crypto));
const worlds = [...crafted(names), ...arbitrary(names, random(20_19))];
for (const world of worlds) {
  try {
    answer(names, world);
  } catch (error) {
    throw new Error(`world "${world.name}"`, { cause: error });
  }
}
// A transaction as it is written down.
function brief([madeAt, changes, rest]) {
  if (rest === undefined) {
    const [, key, value] = /^\[{"op":"set","key":"([^"\\]*)","value":"([^"\\]*)"}\]$/.exec(changes) ?? [];
    if (key !== undefined) return [madeAt, key, value];
  }
  return [madeAt, rest?.privacy === "private" ? rest : { changes, ...rest }];
}

for (const world of worlds) {
  for (const group of Object.values(world.groups))
    for (const session of group.sessions) session[2] = session[2].map(brief);
}
const lines = worlds.map((world) => JSON.stringify(world));
const head = { by: "cojson 0.20.19", letters, ids: names.ids, headers: names.headers };
const text = `${JSON.stringify(head).slice(0, -1)},"worlds":[\n${lines.join(",\n")}\n]}\n`;
process.stdout.write(text, () => process.exit(0));
