// Makes canonical.json: what cojson's own stableStringify writes for values and numbers.
//
//     node generate_canonical.mjs [folder with node_modules/cojson of 0.20.19] > canonical.json
//
// `values`: [JSON text, canonical text]. `numbers`: [JSON number, canonical text]. `unescaped`: the
// JSON texts of strings that cojson writes down as they are although they need escapes. The output
// is the same on each run.

import { pathToFileURL } from "node:url";
import { resolve } from "node:path";
import { random } from "./roles/registry.mjs";

const home = process.argv[2]
  ? pathToFileURL(resolve(process.argv[2]) + "/")
  : new URL("../interop/clients/0.20.19/", import.meta.url);
const { cojsonInternals } = await import(new URL("node_modules/cojson/dist/index.js", home));
const canonical = (text) => cojsonInternals.stableStringify(JSON.parse(text));

const dice = random(7);

const handmade = [
  // Keys sort by UTF-16 units: an astral character comes before U+E000..U+FFFF.
  '{"\ue000":1,"\u{1f600}":2,"\uffff":3,"\ud7ff":4,"z":5,"":6,"\u{10ffff}":7}',
  '{"a\ufffd":1,"a\u{10000}":2,"a":3,"aa":4,"A":5}',
  '{"10":1,"9":2,"1":3,"02":4,"-1":5}',
  '{"constructor":1,"toString":2,"length":3,"encrypted_U\\"":4,"binary_U\\n":5}',
  '{"\\u0000":1,"\\u0001":2,"\\u001f":3," ":4,"\\"":5,"\\\\":6,"\\u007f":7}',
  JSON.stringify(String.fromCharCode(...Array(0x180).keys())),
  '"\\u2028\\u2029\\u007f\\u0080\\u00ad\\ufeff\\uffff"',
  '"\\/ / < > & \' \\u0027 \\u00e9 e\\u0301 \\ud83d\\ude00"',
  '"\\b\\f\\n\\r\\t\\u000b\\u0007"',
  '"encrypted_Uabc-_="',
  '"binary_Uabc/+é\u2028\u007f\u{1f600}"',
  '"encrypted_"',
  '"encrypted\\n_U"',
  '" encrypted_U\\""',
  '{"a":{"b":[{"d":1,"c":[[],{}]},null,true,false,""]},"":{"":{"":0}}}',
  "[[[[[[[[[[]]]]]]]]]]",
  '{"a":1,"a":2}',
  '{"a":null,"b":[null]}',
  " [ 1 , 2.50 , -0 , -0.0 , 1E2 ] ",
  "null",
  "true",
  '""',
  "{}",
];

const SPECIAL = [
  "0", "-0", "0.0", "-0.0", "1", "-1", "1.0", "10", "100", "1e0", "1e5", "1E5", "1e+5", "1.5e3",
  "0.1", "0.10", "-0.1", "0.001", "0.000001", "0.0000001", "0.00000123", "1e-6", "1e-7", "1.5e-7",
  "1e20", "1e21", "1e22", "123456789012345680000", "123456789012345678901", "-1e21", "1.2e21",
  "100000000000000000000", "1000000000000000000000", "999999999999999900000", "5e20", "12e20",
  "9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993",
  "9007199254740994", "9007199254740995", "18446744073709551615", "18446744073709551616",
  "9223372036854775807", "-9223372036854775808", "36028797018963967", "4.35", "0.3", "2.5",
  "5e-324", "4.9e-324", "2.2250738585072014e-308", "2.225073858507201e-308", "1.7976931348623157e308",
  "1.7976931348623157e+308", "179769313486231570000", "0.30000000000000004", "1e-320", "123e-20",
  "12345.678e10", "1.0000000000000002", "4503599627370496.5", "1e16", "12345678901234567",
  `1${"0".repeat(308)}`, `-${"9".repeat(308)}`, `${"9".repeat(310)}`, `-1${"0".repeat(400)}`,
];

function double() {
  const view = new DataView(new ArrayBuffer(8));
  do {
    for (let i = 0; i < 8; i++) view.setUint8(i, dice.below(256));
  } while (!Number.isFinite(view.getFloat64(0)));
  return view.getFloat64(0);
}

function number(kind) {
  if (kind === 0) return double().toPrecision(17);
  if (kind === 1) return String(double());
  if (kind === 2) return ((dice.below(2 ** 31) - 2 ** 30) / 10 ** dice.below(24)).toPrecision(17);
  if (kind === 3) return (dice.below(2 ** 31) * 10 ** dice.below(16)).toPrecision(17);
  // An integer of up to 40 digits.
  const digits = Array.from({ length: 1 + dice.below(40) }, () => dice.below(10)).join("");
  return (dice.chance(0.5) ? "-" : "") + (digits.replace(/^0+/, "") || "0");
}

const LETTERS = [..."abAB09 \"\\/\n\t\u0000\u001f\u007fé\u2028\ud7ff\ue000\uffff", "\u{1f600}", "\u{10000}"];
const text = () => Array.from({ length: dice.below(8) }, () => dice.pick(LETTERS)).join("");

function value(depth) {
  const kind = dice.below(depth ? 8 : 5);
  if (kind === 0) return text();
  if (kind === 1) return dice.pick([null, true, false]);
  if (kind === 2) return double();
  if (kind === 3) return dice.below(2000) - 1000;
  if (kind === 4) return dice.pick(["encrypted_U", "binary_U"]) + "abc-_=";
  if (kind === 5) return Array.from({ length: dice.below(5) }, () => value(depth - 1));
  return Object.fromEntries(Array.from({ length: dice.below(6) }, () => [text(), value(depth - 1)]));
}

const numbers = [...SPECIAL, ...Array.from({ length: 3000 }, (_, i) => number(i % 5))];
const values = [...handmade, ...Array.from({ length: 300 }, () => JSON.stringify(value(4)))];
const unescaped = ['"encrypted_U\\""', '"binary_U\\\\"', '"encrypted_Ua\\n"', '"binary_U\\u0000"'];

const pairs = (list) => list.map((each) => JSON.stringify([each, canonical(each)])).join(",\n");
for (const each of unescaped) {
  if (canonical(each) !== `"${JSON.parse(each)}"`) throw new Error(`escaped after all: ${each}`);
}
const output = `{"by":"cojson 0.20.19","unescaped":${JSON.stringify(unescaped)},
"values":[\n${pairs(values)}\n],\n"numbers":[\n${pairs(numbers)}\n]}\n`;
process.stdout.write(output, () => process.exit(0));
