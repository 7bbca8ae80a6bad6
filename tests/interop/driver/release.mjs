// The release under test: its packages, resolved from the working directory, and what it can do.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.cwd()}/package.json`);

/** Import a package (or one of its subpaths) of this release. */
export const load = (name) => import(pathToFileURL(require.resolve(name)).href);

export const version = JSON.parse(readFileSync("package.json", "utf8")).dependencies.cojson;
export const cojson = await load("cojson");
export const { WebSocketPeerWithReconnection } = await load("cojson-transport-ws");
export const { default: WebSocket } = await load("ws");

async function makeCrypto() {
  try {
    // Much faster, but only from 0.18.28 on and only where a native build exists.
    return await (await load("cojson/crypto/NapiCrypto")).NapiCrypto.create();
  } catch {
    return await (await load("cojson/crypto/WasmCrypto")).WasmCrypto.create();
  }
}
export const crypto = await makeCrypto();

function resolves(name) {
  try {
    return Boolean(require.resolve(name));
  } catch {
    return false;
  }
}

export const SQLITE_STORAGE = "cojson/dist/storage/sqlite/index.js";

export const features = {
  version,
  crypto: crypto.constructor.name,
  branches: typeof cojson.LocalNode.prototype.checkoutBranch === "function",
  deletion: typeof cojson.CoValueCore.prototype.deleteCoValue === "function",
  resumption:
    resolves(SQLITE_STORAGE) &&
    typeof cojson.cojsonInternals.SyncManager?.prototype.resumeUnsyncedCoValues === "function",
  reconciliation:
    typeof cojson.cojsonInternals.SyncManager?.prototype.startStorageReconciliation === "function",
};
