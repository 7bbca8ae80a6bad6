// One Node process that plays any number of real Jazz clients of one release.
//
// Run with a release's folder as the working directory. In, a JSON object a line:
//   {"id": 7, "actor": "alice", "do": "edit", "args": {...}}
// Out, when it is done (not necessarily in order):
//   {"id": 7, "result": ...}   or   {"id": 7, "error": "...", "wire": ["> frame", "< frame", ...]}
// An actor is made by `open` (a cojson client), `open_raw` (a bare websocket) or `open_worker`
// (a jazz-tools server worker); every other command goes to the actor of that name.
import { createInterface } from "node:readline";
import { inspect } from "node:util";

// cojson logs with console.*, but stdout belongs to the answers. Its warnings are about lost
// connections and the like, which is what the tests are there to cause.
for (const level of ["log", "info", "debug", "warn"]) console[level] = () => {};
console.error = (...parts) => {
  const texts = parts.map((part) => (typeof part === "string" ? part : inspect(part)));
  process.stderr.write(`${texts.join(" ")}\n`);
};

const { Client } = await import("./client.mjs");
const { RawSocket } = await import("./raw.mjs");
const { Worker } = await import("./worker.mjs");
const { features } = await import("./release.mjs");

const makers = { open: Client, open_raw: RawSocket, open_worker: Worker };
const actors = new Map();
const faults = [];

async function perform({ actor: name, do: command, args }) {
  if (command === "features") return features;
  if (command === "close_all") return closeAll();
  if (command in makers) {
    const actor = new makers[command]();
    actors.set(name, actor);
    return actor.open(args);
  }
  const actor = actors.get(name);
  if (!actor) throw new Error(`no actor called ${name}`);
  if (command === "close") actors.delete(name);
  return actor[command](args);
}

/**
 * Leave nobody behind who would go on reconnecting to a server that is gone.
 * Answers with the errors that no client caught since the last time.
 */
async function closeAll() {
  const leaving = [...actors.values()];
  actors.clear();
  await Promise.allSettled(leaving.map((actor) => actor.close()));
  return faults.splice(0);
}

function answer(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function handle(line) {
  const request = JSON.parse(line);
  try {
    answer({ id: request.id, result: (await perform(request)) ?? null });
  } catch (error) {
    const wire = actors.get(request.actor)?.wire?.log ?? [];
    answer({ id: request.id, error: String(error?.stack ?? error), wire: wire.slice(-40) });
  }
}

// An error that nobody catches must not take the other clients in this process down, but it is one
// that an app would have had: the test fails when its clients leave.
for (const event of ["unhandledRejection", "uncaughtException"]) {
  process.on(event, (error) => faults.push(`${event}: ${error?.stack ?? error}`));
}

createInterface({ input: process.stdin })
  .on("line", handle)
  .on("close", () => process.exit(0));
