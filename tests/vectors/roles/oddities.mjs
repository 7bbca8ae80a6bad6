// Transactions that no honest client writes, and the keys of a group that are not members.

import { Script, set, world } from "./registry.mjs";

const CHANGES = {
  "two changes": '[{"op":"set","key":"<bob>","value":"admin"},{"op":"set","key":"<bob>","value":"admin"}]',
  "no change": "[]",
  "a deletion": '[{"op":"del","key":"<carol>"}]',
  "no operation": '[{"key":"<bob>","value":"admin"}]',
  "operation in capitals": '[{"op":"SET","key":"<bob>","value":"admin"}]',
  "no JSON": '[{"op":"set","key":"<bob>","value":"admin"}',
  "an empty text": "",
  "a number": "1",
  "a text": '"x"',
  "null": "null",
  "true": "true",
  "an object": '{"op":"set","key":"<bob>","value":"admin"}',
  "a number within": "[1]",
  "a text within": '["set"]',
  "a list within": '[[{"op":"set","key":"<bob>","value":"admin"}]]',
  "role null": '[{"op":"set","key":"<bob>","value":null}]',
  "no role": '[{"op":"set","key":"<bob>"}]',
  "role a list": '[{"op":"set","key":"<bob>","value":["admin"]}]',
  "role a number": '[{"op":"set","key":"<bob>","value":1}]',
  "unknown role": '[{"op":"set","key":"<bob>","value":"owner"}]',
  "role in capitals": '[{"op":"set","key":"<bob>","value":"Admin"}]',
  "white space": ' [ { "op" : "set" , "key" : "<bob>" , "value" : "admin" } ] ',
  "further members": '[{"op":"set","key":"<bob>","value":"admin","more":[1,{"a":null}]}]',
  "a member twice": '[{"op":"set","key":"<bob>","value":"reader","value":"admin"}]',
  "escapes": '[{"\\u006fp":"s\\u0065t","key":"<bob>","value":"\\u0061dmin"}]',
  "a byte order mark": '\ufeff[{"op":"set","key":"<bob>","value":"admin"}]',
  "a trailing comma": '[{"op":"set","key":"<bob>","value":"admin"},]',
  "NaN": '[{"op":"set","key":"<bob>","value":"admin","x":NaN}]',
  "a number past the doubles": '[{"op":"set","key":"<bob>","value":"admin","x":1e999}]',
  "an integer past the doubles": `[{"op":"set","key":"<bob>","value":"admin","x":${"9".repeat(400)}}]`,
  "a long integer": `[{"op":"set","key":"<bob>","value":"admin","x":${"9".repeat(5000)}}]`,
  "a lone surrogate": '[{"op":"set","key":"<bob>","value":"admin","x":"\\ud800!"}]',
  "a lone surrogate at the end": '[{"op":"set","key":"<bob>","value":"admin","x":"\\udfff"}]',
  "a raw control character": '[{"op":"set","key":"<bob>","value":"admin","x":"\u0001"}]',
  "white space that is none in JSON": '\u00a0[{"op":"set","key":"<bob>","value":"admin"}]',
};

const KEYS = [
  "readKey",
  "groupSealer",
  "profile",
  "root",
  "key_z1_for_key_z2",
  "key_z1_for_<bob>",
  "key_z1_for_<bob:agent>",
  "key_z1_for_everyone",
  "x_for_everyone",
  "key_z1_sealedFor_sealer_z2",
  "writeKeyFor_<bob>",
  "child_<np:alice>",
];

// To cojson these are members like any other.
const NEARLY_KEYS = {
  key: "key_z1",
  forKey: "co_zbob_for_key_z2",
  empty: "",
  short: "co_z1",
  capitals: "EVERYONE",
  sealed: "key_z1_sealedFor_co_z1",
};

export function oddities(names) {
  const members = ["alice", "bob", "carol", "everyone"];
  const founded = (label) =>
    new Script(names.group(label, "alice")).role("alice", 1, "alice", "admin")
      .role("alice", 1, "carol", "reader");
  const entries = Object.entries(CHANGES);
  const meta = (label, text) =>
    world(`meta ${label}`, members, [
      founded("meta").write("alice", 5, set("<bob>", "writer"), { meta: text })
        .role("alice", 9, "carol", "writer"),
    ]);
  for (const [name, key] of Object.entries(NEARLY_KEYS)) names.ids[name] = key;
  const everyKey = (author, script) =>
    [...KEYS, ...Object.values(NEARLY_KEYS)].reduce(
      (group, key) => group.write(author, 5, set(key, "admin")),
      script,
    );
  return [
    ...entries.map(([name, changes]) =>
      world(`changes: ${name}`, members, [founded("odd").write("alice", 5, changes)]),
    ),
    world("a private transaction in a group", members, [
      founded("private").write("alice", 4, "", { privacy: "private" }).role("alice", 5, "bob", "reader"),
    ]),
    meta("of a branch", '{"branch":"x","ownerId":"y"}'),
    meta("that is no JSON", "{"),
    meta("that is null", "null"),
    world("keys that are no members", [...members, ...Object.keys(NEARLY_KEYS)], [
      everyKey("alice", founded("keys")),
      everyKey("bob", founded("keys2")),
    ]),
  ];
}
