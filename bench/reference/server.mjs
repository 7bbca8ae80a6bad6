// Jazz's own sync server: a cojson LocalNode behind a websocket port, wired the way `jazz-run sync`
// wires it. Kept for comparison (tests, benchmarks), not for production.
//
//   node server.mjs [--port N] [--db PATH] [--synchronous FULL|NORMAL|OFF]
//
// Without --db everything stays in memory. Prints `listening on ws://127.0.0.1:PORT` when ready.
import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { LocalNode } from "cojson";
import { createWebSocketPeer } from "cojson-transport-ws";
import { WebSocketServer } from "ws";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    db: { type: "string" },
    synchronous: { type: "string" },
  },
});

async function loadCrypto() {
  try {
    const { NapiCrypto } = await import("cojson/crypto/NapiCrypto");
    return await NapiCrypto.create();
  } catch {
    console.error("warning: no native crypto for this platform, using WebAssembly: slower");
    const { WasmCrypto } = await import("cojson/crypto/WasmCrypto");
    return await WasmCrypto.create();
  }
}

async function openStorage(filename, synchronous) {
  const { default: Database } = await import("better-sqlite3");
  const { getSqliteStorage } = await import("cojson/dist/storage/sqlite/index.js");
  const db = new Database(filename);
  db.pragma("journal_mode = WAL");
  if (synchronous) db.pragma(`synchronous = ${synchronous}`);
  return getSqliteStorage({
    run: (sql, params) => void db.prepare(sql).run(params),
    get: (sql, params) => db.prepare(sql).get(params),
    query: (sql, params) => db.prepare(sql).all(params),
    transaction: (callback) => db.transaction(callback)(),
    closeDb: () => db.close(),
  });
}

const crypto = await loadCrypto();
const secret = crypto.newRandomAgentSecret();
const session = crypto.newRandomSessionID(crypto.getAgentID(secret));
const node = new LocalNode(secret, session, crypto);
if (options.db) node.setStorage(await openStorage(options.db, options.synchronous));
node.enableGarbageCollector();

const server = createServer((request, response) => {
  response.writeHead(request.url === "/health" ? 200 : 404).end();
});
const sockets = new WebSocketServer({ server, maxPayload: 256 * 1024 * 1024 });
let connections = 0;

sockets.on("connection", (socket) => {
  const ping = () => socket.send(JSON.stringify({ type: "ping", time: Date.now(), dc: "unknown" }));
  const pinging = setInterval(ping, 1500);
  socket.on("close", () => clearInterval(pinging));
  socket.on("error", (error) => console.error("connection error:", error.message));
  node.syncManager.addPeer(
    createWebSocketPeer({
      id: `client-${++connections}`,
      role: "client",
      websocket: socket,
      expectPings: false,
      batchingByDefault: false,
      deletePeerStateOnClose: true,
    }),
  );
  ping();
});

async function stop() {
  for (const socket of sockets.clients) socket.terminate();
  server.close();
  await node.gracefulShutdown();
  process.exit(0);
}
process.on("SIGTERM", stop);
process.on("SIGINT", stop);

server.listen(Number(options.port), "127.0.0.1", () => {
  console.log(`listening on ws://127.0.0.1:${server.address().port}`);
});
