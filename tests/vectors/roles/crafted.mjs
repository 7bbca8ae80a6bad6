// Worlds written by hand, each about one rule of cojson's permissions.ts and group.ts.

import { inheritance } from "./inheritance.mjs";
import { oddities } from "./oddities.mjs";
import { Script, world } from "./registry.mjs";

const ROLES = ["admin", "manager", "writer", "reader", "writeOnly", "revoked"];
const INVITES = [
  "adminInvite",
  "managerInvite",
  "writerInvite",
  "readerInvite",
  "writeOnlyInvite",
];
const ALL = [...ROLES, ...INVITES];

export function crafted(names) {
  for (const name of ["alice", "bob", "carol", "dave", "erin"]) names.account(name);
  for (const role of ALL) names.account(`target_${role}`);
  return [
    ...assignments(names),
    ...overTime(names),
    ...accounts(names),
    ...inheritance(names),
    ...oddities(names),
  ];
}

// Whoever has each role (or none) sets somebody with and without a role to each role.
function assignments(names) {
  return [undefined, ...ALL].map((role) => {
    const scripts = [undefined, "admin", "manager", "reader"].map((before, index) => {
      const script = new Script(names.group(`by${index}`, "alice")).role("alice", 1, "alice", "admin");
      if (role) script.role("alice", 2, "bob", role);
      for (const assigned of ALL) {
        if (before) script.role("alice", 3, `target_${assigned}`, before);
        script.role("bob", 4, `target_${assigned}`, assigned);
      }
      return script.role("bob", 4, "everyone", "writer");
    });
    const members = ["bob", "everyone", ...ALL.map((each) => `target_${each}`)];
    return world(`assignments by ${role ?? "nobody"}`, members, scripts, [0, 3, 4]);
  });
}

function overTime(names) {
  const group = (label) => new Script(names.group(label, "alice"));
  const founded = (label) => group(label).role("alice", 1, "alice", "admin");
  const members = ["alice", "bob", "carol", "dave", "everyone"];
  const everyone = founded("everyone");
  ALL.forEach((role, index) => everyone.role("alice", 10 + index * 10, "everyone", role));
  return [
    world("everyone has each role in turn", members, [everyone]),
    world("everyone gives way to an own role", members, [
      founded("own")
        .role("alice", 2, "everyone", "writer")
        .role("alice", 3, "bob", "reader")
        .role("alice", 4, "bob", "revoked")
        .role("alice", 5, "carol", "admin")
        .role("alice", 6, "everyone", "revoked"),
    ]),
    world("everyone, made a writer, still writes no group", members, [
      founded("every").role("alice", 2, "everyone", "writer").role("bob", 3, "carol", "reader"),
    ]),
    ...[undefined, ...ALL].map((role) => {
      const script = founded("self");
      if (role) script.role("alice", 2, "bob", role);
      script.role("bob", 5, "bob", "revoked").role("bob", 6, "carol", "writer");
      return world(`self-revocation of ${role ?? "nobody"}`, members, [
        script.role("alice", 7, "bob", "reader"),
      ]);
    }),
    world("who founds a group", members, [
      group("f1").role("bob", 1, "bob", "admin").role("bob", 2, "alice", "reader"),
      group("f2").role("alice", 1, "alice", "writer").role("alice", 2, "alice", "admin"),
      group("f3").role("alice", 1, "bob", "admin").role("bob", 2, "alice", "admin"),
      group("f4").role("alice", 5, "bob", "reader").role("alice", 6, "alice", "admin"),
      group("f5").role("alice", 1, "alice", "admin").role("alice", 2, "alice", "revoked")
        .role("alice", 3, "alice", "admin").role("alice", 4, "bob", "reader"),
      group("f6").role("alice", 1, "alice", "revoked").role("alice", 2, "alice", "admin"),
    ]),
    world("an admin steps down", members, [
      founded("down").role("alice", 2, "bob", "admin").role("alice", 3, "alice", "reader")
        .role("alice", 4, "carol", "writer").role("bob", 5, "carol", "reader")
        .role("bob", 6, "alice", "revoked"),
    ]),
    world("admins and each other", members, [
      founded("peers").role("alice", 2, "bob", "admin").role("bob", 3, "alice", "reader")
        .role("bob", 4, "alice", "admin").role("bob", 5, "alice", "revoked")
        .role("alice", 6, "alice", "manager").role("bob", 7, "alice", "writer"),
    ]),
    world("a role counts from its time on, in any order of writing", members, [
      founded("late").role("alice", 50, "bob", "admin").role("bob", 60, "carol", "writer")
        .role("alice", 40, "dave", "reader").role("bob", 45, "dave", "admin")
        .role("alice", 55, "bob", "revoked", "2").role("alice", 20, "bob", "writer", "2"),
    ]),
    world("within one millisecond the order of the session counts", members, [
      founded("tie").role("alice", 5, "bob", "writer").role("alice", 5, "bob", "reader")
        .role("alice", 5, "bob", "manager").role("alice", 1, "carol", "admin"),
      new Script(names.group("tie2", "alice")).role("alice", 5, "bob", "admin")
        .role("alice", 5, "alice", "admin").role("bob", 5, "carol", "admin"),
    ]),
    world("within one millisecond sessions count as they arrived", members, [
      founded("arrive").role("alice", 5, "bob", "admin").role("bob", 5, "carol", "reader")
        .role("alice", 5, "carol", "writer", "2"),
      group("arrive2").role("bob", 5, "carol", "reader").role("alice", 5, "alice", "admin")
        .role("alice", 5, "bob", "admin"),
    ]),
    world("an invite is used, then revoked", [...members, names.agent("invite")], [
      founded("invited").role("alice", 2, "invite", "writerInvite").role("invite", 3, "bob", "writer")
        .role("invite", 4, "bob", "reader").role("invite", 5, "alice", "writer")
        .role("alice", 6, "invite", "revoked").role("invite", 7, "carol", "writer"),
    ]),
    world("the end of time", members, [
      founded("end").role("alice", 2 ** 53 - 1, "bob", "writer"),
    ]),
  ];
}

// An account is a group, too: its agent writes it, its id is always an admin.
function accounts(names) {
  const members = ["alice", "alice:agent", "bob", "bob:agent", "everyone"];
  return [
    world("an account has its agent and itself as admins", members, [
      new Script("alice").role("alice:agent", 1, "alice:agent", "admin")
        .role("alice:agent", 2, "bob", "writer").role("alice", 3, "bob", "admin")
        .role("bob", 4, "bob:agent", "admin").role("alice:agent", 5, "everyone", "reader")
        .role("alice:agent", 6, "alice", "revoked"),
    ]),
    world("an account that nobody set up", members, [new Script("bob")], [0, 1]),
    world("an account is no parent", members, [
      new Script("alice").role("alice:agent", 1, "alice:agent", "admin"),
      new Script(names.group("ofAccount", "alice")).role("alice", 1, "alice", "admin")
        .parent("alice", 2, "alice").role("alice", 3, "bob", "reader"),
    ]),
    world("an account extends a group", members, [
      new Script(names.group("parentOfAccount", "bob")).role("bob", 1, "bob", "admin"),
      new Script("alice").role("alice:agent", 1, "alice:agent", "admin")
        .parent("alice:agent", 2, names.group("parentOfAccount", "bob"))
        .role("bob", 3, "bob:agent", "writer"),
    ]),
    world("a private transaction of an account changes no role", members, [
      new Script("alice").role("alice:agent", 1, "alice:agent", "admin")
        .write("alice:agent", 2, "", { privacy: "private" }).role("alice:agent", 3, "bob", "reader"),
    ]),
    world("a group founded by an agent", ["bob", "bob:agent", "carol"], [
      new Script(names.group("byAgent", "bob:agent")).role("bob:agent", 1, "bob:agent", "admin")
        .role("bob", 2, "carol", "reader").role("bob:agent", 3, "carol", "writer"),
    ]),
  ];
}
