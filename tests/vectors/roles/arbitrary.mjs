// Worlds put together at random: some people, up to four groups, each extending earlier ones.

import { Script, set, world } from "./registry.mjs";

const ROLES = ["admin", "manager", "writer", "reader", "writeOnly", "revoked"];
const INVITES = [
  "adminInvite",
  "managerInvite",
  "writerInvite",
  "readerInvite",
  "writeOnlyInvite",
];
const MAPPINGS = ["extend", "extend", "extend", "reader", "writer", "manager", "admin", "revoked"];
const WORLDS = 120;

export function arbitrary(names, dice) {
  const people = ["alice", "bob", "carol", "dave", "erin"].map((name) => names.account(name));
  const guest = names.agent("guest");
  const worlds = [];
  for (let index = 0; index < WORLDS; index++) {
    const scripts = [];
    const count = 1 + dice.below(4);
    for (let g = 0; g < count; g++) {
      scripts.push(randomGroup(names, dice, people, guest, `r${g}`, scripts));
    }
    const times = [...new Set(Array.from({ length: 12 }, () => dice.below(64)))];
    const members = [...people, guest, "everyone"];
    worlds.push(world(`random ${index}`, members, scripts, times.sort((a, b) => a - b)));
  }
  return worlds;
}

function randomGroup(names, dice, people, guest, label, earlier) {
  const founder = dice.pick(people);
  const script = new Script(names.group(label, founder));
  script.role(founder, dice.below(4), founder, "admin");
  const writers = [founder, founder, ...people, guest];
  const steps = 4 + dice.below(14);
  for (let step = 0; step < steps; step++) {
    const author = dice.pick(writers);
    const at = 2 + dice.below(60);
    const session = dice.pick(["1", "1", "2"]);
    if (earlier.length && dice.chance(0.25)) {
      const key = `parent_<${dice.pick(earlier).name}>`;
      script.write(founder, at, set(key, dice.pick(MAPPINGS)), undefined, session);
    } else if (dice.chance(0.15)) {
      script.role(author, at, "everyone", dice.pick(ROLES), session);
    } else if (dice.chance(0.2)) {
      script.role(author, at, guest, dice.pick(INVITES), session);
    } else {
      script.role(author, at, dice.pick(people), dice.pick(ROLES), session);
    }
  }
  return script;
}
