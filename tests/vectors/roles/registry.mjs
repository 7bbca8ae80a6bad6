// The people and groups that all worlds share, and how a world is written down.

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

// A small generator of random numbers (mulberry32), so that the output is the same on each run.
export function random(seed) {
  const next = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    below: (n) => Math.floor(next() * n),
    pick: (list) => list[Math.floor(next() * list.length)],
    chance: (p) => next() < p,
  };
}

function key(dice) {
  // 43 digits that begin with a small one always fit 32 bytes and always need all of them.
  const digits = Array.from({ length: 42 }, () => dice.pick([...ALPHABET]));
  return "5" + digits.join("");
}

export function registry(idOf) {
  const dice = random(1);
  const ids = { everyone: "everyone" };
  const headers = {};
  const add = (name, header) => {
    headers[name] = header;
    ids[name] = idOf(header);
    return name;
  };
  return {
    ids,
    headers,
    id(name) {
      if (ids[name] === undefined) throw new Error(`nobody is called ${name}`);
      return ids[name];
    },
    // An account `name` and its agent `name:agent`.
    account(name) {
      if (ids[name] !== undefined) return name;
      const agent = `sealer_z${key(dice)}/signer_z${key(dice)}`;
      ids[`${name}:agent`] = agent;
      return add(name, {
        type: "comap",
        ruleset: { type: "group", initialAdmin: agent },
        meta: { type: "account" },
        createdAt: null,
        uniqueness: null,
      });
    },
    agent(name) {
      ids[name] ??= `sealer_z${key(dice)}/signer_z${key(dice)}`;
      return name;
    },
    group(name, admin) {
      const full = `${name}:${admin.replace(":agent", "Agent")}`;
      if (ids[full] !== undefined) return full;
      return add(full, {
        type: "comap",
        ruleset: { type: "group", initialAdmin: ids[admin] },
        meta: null,
        createdAt: "2025-01-02T03:04:05.678Z",
        uniqueness: `z${name}`,
      });
    },
  };
}

// The JSON text of one change that sets `key` (a `<name>` or a literal key) to `value`.
export const set = (key, value) => JSON.stringify([{ op: "set", key, value }]);

// One group under construction. `write` returns the group, so that calls can be chained.
export class Script {
  constructor(name) {
    this.name = name;
    this.sessions = [];
  }

  write(author, madeAt, changes, rest, session = "1") {
    let found = this.sessions.find((s) => s[0] === author && s[1] === session);
    if (!found) this.sessions.push((found = [author, session, []]));
    found[2].push(rest === undefined ? [madeAt, changes] : [madeAt, changes, rest]);
    return this;
  }

  role(author, madeAt, member, role, session = "1") {
    const key = member === "everyone" ? member : `<${member}>`;
    return this.write(author, madeAt, set(key, role), undefined, session);
  }

  parent(author, madeAt, group, mapping = "extend") {
    return this.write(author, madeAt, set(`parent_<${group}>`, mapping));
  }
}

// A world of these groups, asked about `members` at each time something happens and around it.
export function world(name, members, scripts, times) {
  const made = scripts.flatMap((s) => s.sessions.flatMap((each) => each[2].map((t) => t[0])));
  const around = new Set([...made.flatMap((at) => [at - 1, at]), Math.max(...made, 0) + 1]);
  return {
    name,
    members,
    times: times ?? [...around].filter((at) => at >= 0).sort((a, b) => a - b),
    groups: Object.fromEntries(scripts.map((s) => [s.name, { sessions: s.sessions }])),
  };
}
