// One Node process that plays one device or one worker; it talks as ../driver/main.mjs does.
import { createInterface } from "node:readline";
import { inspect } from "node:util";

// stdout belongs to the answers; what the clients print is kept, for the test that reads it.
const printed = [];
for (const level of ["log", "info", "debug", "warn", "error"]) {
  console[level] = (...parts) => void printed.push(parts.map((part) => inspect(part)).join(" "));
}

const { Device } = await import("./device.mjs");
const { KeyedWorker } = await import("./keyed.mjs");
const { features } = await import("../driver/release.mjs");

const makers = { open_device: Device, open_keyed: KeyedWorker };
let actor = null;

async function perform({ do: command, args }) {
  if (command === "features") return features;
  if (command === "printed") return printed;
  if (command in makers) {
    actor = new makers[command]();
    return actor.open(args);
  }
  return actor[command](args);
}

async function handle(line) {
  const { id, ...request } = JSON.parse(line);
  const answer = (content) => process.stdout.write(`${JSON.stringify({ id, ...content })}\n`);
  try {
    answer({ result: (await perform(request)) ?? null });
  } catch (error) {
    answer({ error: String(error?.stack ?? error), wire: printed.slice(-40) });
  }
}

for (const event of ["unhandledRejection", "uncaughtException"]) {
  process.on(event, (error) => printed.push(`${event}: ${error?.stack ?? error}`));
}
createInterface({ input: process.stdin })
  .on("line", handle)
  .on("close", () => process.exit(0));
