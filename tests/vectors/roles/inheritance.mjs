// Groups that extend groups: mappings, times, chains, and what authors may do by inherited roles.

import { Script, set, world } from "./registry.mjs";

const ALL = [
  "admin",
  "manager",
  "writer",
  "reader",
  "writeOnly",
  "revoked",
  "adminInvite",
  "managerInvite",
  "writerInvite",
  "readerInvite",
  "writeOnlyInvite",
];
const MAPPINGS = ["extend", "reader", "writer", "manager", "admin", "revoked", "writeOnly", "x"];

export function inheritance(names) {
  const founded = (label) =>
    new Script(names.group(label, "alice")).role("alice", 1, "alice", "admin");
  const named = (label) => names.group(label, "alice");
  const members = ["alice", "bob", "carol", "dave", "everyone"];

  const live = (...args) => ({ ...world(...args), live: true });

  // Someone with each role in the parent, for each mapping and each own role in the child.
  const mapped = MAPPINGS.map((mapping) => {
    const parent = founded("mapParent");
    for (const role of ALL) parent.role("alice", 2, `target_${role}`, role);
    const children = [undefined, "admin", "manager", "writer", "reader", "writeOnly", "readerInvite"];
    const scripts = children.map((own, index) => {
      const child = founded(`mapChild${index}`);
      for (const role of own ? ALL : []) child.role("alice", 3, `target_${role}`, own);
      child.parent("alice", 4, parent.name, mapping);
      // They try it in turn, each on somebody new: only fit authors leave a trace.
      ALL.forEach((role, at) =>
        child.role(`target_${role}`, 5 + at, names.account(`victim_${role}`), "reader"),
      );
      return child;
    });
    const asked = [...ALL.map((r) => `target_${r}`), ...ALL.map((r) => `victim_${r}`), "alice"];
    return world(`parent mapped to ${mapping}`, asked, [parent, ...scripts], [2, 3, 4, 20]);
  });

  return [
    ...mapped,
    world("everyone of a parent is inherited", members, [
      founded("pub").role("alice", 2, "everyone", "writer"),
      founded("pubChild").parent("alice", 3, named("pub")).role("bob", 4, "carol", "reader"),
      founded("pubAdmin").parent("alice", 3, named("pub"), "admin").role("bob", 4, "carol", "reader"),
      founded("pubOnly").role("alice", 2, "everyone", "writeOnly"),
      founded("pubOnlyChild").parent("alice", 3, named("pubOnly")),
      founded("pubBoth").role("alice", 2, "everyone", "reader").parent("alice", 3, named("pub")),
    ]),
    world("roles in the parent change over time", members, [
      founded("tp").role("alice", 10, "bob", "writer").role("alice", 20, "bob", "admin")
        .role("alice", 30, "bob", "revoked").role("alice", 40, "bob", "reader"),
      founded("tc").parent("alice", 5, named("tp"))
        .role("bob", 15, "carol", "reader").role("bob", 25, "carol", "writer")
        .role("bob", 35, "carol", "admin").role("bob", 45, "carol", "revoked"),
    ]),
    world("the mapping of the parent changes over time", members, [
      founded("mp").role("alice", 2, "bob", "reader").role("alice", 2, "carol", "admin"),
      founded("mc").parent("alice", 10, named("mp")).parent("alice", 20, named("mp"), "writer")
        .parent("alice", 30, named("mp"), "revoked").parent("alice", 40, named("mp"), "admin")
        .parent("alice", 50, named("mp"), "extend").role("carol", 35, "dave", "reader")
        .role("bob", 45, "dave", "writer").role("bob", 55, "dave", "admin"),
    ]),
    world("a parent joined late gives no role before", members, [
      founded("lp").role("alice", 2, "bob", "admin"),
      founded("lc").role("bob", 10, "carol", "reader").parent("alice", 20, named("lp"))
        .role("bob", 30, "dave", "reader"),
    ]),
    world("a reference written out of order", members, [
      founded("op").role("alice", 2, "bob", "writer"),
      founded("oc").parent("alice", 30, named("op"), "revoked").parent("alice", 10, named("op"))
        .parent("alice", 20, named("op"), "manager"),
    ]),
    world("a chain of four", members, [
      founded("c1").role("alice", 2, "bob", "admin").role("alice", 30, "bob", "writer"),
      founded("c2").parent("alice", 3, named("c1")).role("bob", 4, "carol", "manager"),
      founded("c3").parent("alice", 5, named("c2"), "writer").role("alice", 6, "dave", "admin"),
      founded("c4").parent("alice", 7, named("c3")).role("dave", 8, "erin", "reader")
        .role("bob", 9, "erin", "writer"),
    ]),
    world("a link in the middle is cut", members, [
      founded("k1").role("alice", 2, "bob", "writer"),
      founded("k2").parent("alice", 3, named("k1")).parent("alice", 10, named("k1"), "revoked"),
      founded("k3").parent("alice", 4, named("k2")).parent("alice", 20, named("k1")),
    ]),
    world("two parents, the more permissive one counts", [...members, "erin"], [
      founded("p1").role("alice", 2, "bob", "reader").role("alice", 2, "carol", "admin")
        .role("alice", 2, "dave", "writeOnly"),
      founded("p2").role("alice", 2, "bob", "writer").role("alice", 2, "carol", "manager")
        .role("alice", 2, "dave", "reader"),
      founded("p12").parent("alice", 3, named("p1")).parent("alice", 4, named("p2"))
        .role("alice", 5, "dave", "writeOnly"),
      founded("p21").parent("alice", 3, named("p2")).parent("alice", 4, named("p1"), "reader")
        .role("carol", 5, "dave", "writer"),
      founded("diamond").parent("alice", 6, named("p12")).parent("alice", 7, named("p21"), "writer"),
    ]),
    world("one revoked by the child keeps what the parent gives", members, [
      founded("rp").role("alice", 2, "bob", "writer").role("alice", 2, "carol", "admin"),
      founded("rc").parent("alice", 3, named("rp")).role("alice", 4, "bob", "revoked")
        .role("carol", 5, "carol", "revoked").role("carol", 6, "dave", "reader"),
    ]),
    world("an inherited admin cannot be demoted", members, [
      founded("ap").role("alice", 2, "bob", "admin").role("alice", 2, "carol", "manager"),
      founded("ac").parent("alice", 3, named("ap")).role("alice", 4, "bob", "reader")
        .role("carol", 5, "bob", "reader").role("alice", 6, "carol", "reader")
        .role("bob", 7, "alice", "reader"),
    ]),
    world("who may add a parent", members, [
      founded("wp").role("alice", 1, "dave", "writer"),
      ...ALL.map((role, index) =>
        founded(`wc${index}`).role("alice", 2, "bob", role).parent("bob", 3, named("wp")),
      ),
    ]),
    world("a founder who extends before being admin", members, [
      founded("bp").role("alice", 2, "bob", "admin"),
      new Script(named("bc")).parent("alice", 1, named("bp")).role("alice", 2, "alice", "admin"),
    ]),
    live("a group extends itself", members, [
      founded("loop").parent("alice", 2, named("loop"), "admin").role("alice", 3, "bob", "reader"),
    ]),
    live("two groups extend each other, the first of them counts", members, [
      founded("ring1").role("alice", 2, "bob", "writer").parent("alice", 20, named("ring2")),
      founded("ring2").role("alice", 3, "carol", "reader").parent("alice", 10, named("ring1")),
    ]),
    live("three groups in a circle, the last reference is refused", members, [
      founded("tri1").role("alice", 2, "bob", "writer").parent("alice", 30, named("tri3"), "admin"),
      founded("tri2").role("alice", 3, "carol", "reader").parent("alice", 10, named("tri1")),
      founded("tri3").parent("alice", 20, named("tri2")),
    ]),
    world("at the beginning of time", members, [
      new Script(named("z1")).role("alice", 0, "alice", "admin").role("alice", 9, "bob", "admin"),
      new Script(named("z2")).role("alice", 0, "alice", "admin").parent("alice", 0, named("z1"))
        .role("bob", 0, "carol", "writer"),
      new Script(named("z3")).role("alice", 0, "alice", "admin").parent("alice", 0, named("z2")),
    ]),
    world("a parent reference that is no text", members, [
      founded("np").role("alice", 2, "bob", "writer"),
      ...[5, null, "", true, {}, [], 0, "extend "].map((value, index) =>
        founded(`nc${index}`).parent("alice", 3, named("np"))
          .write("alice", 4, set(`parent_<${named("np")}>`, value)),
      ),
      founded("ncMissing").parent("alice", 3, named("np"))
        .write("alice", 4, `[{"op":"set","key":"parent_<${named("np")}>"}]`),
    ]),
  ];
}
