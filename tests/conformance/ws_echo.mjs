// An echo server on npm's `ws`, as it comes, without compression.
//
//   node ws_echo.mjs FOLDER_WITH_NODE_MODULES MAX_BYTES
//
// Prints {"port": N} when it listens.
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, maxBytes] = process.argv.slice(2);
const { WebSocketServer } = createRequire(join(folder, "package.json"))("ws");

const server = new WebSocketServer(
  { host: "127.0.0.1", port: 0, maxPayload: Number(maxBytes), perMessageDeflate: false },
  () => console.log(JSON.stringify({ port: server.address().port })),
);
server.on("connection", (socket) => {
  // What went wrong is what the socket's close code says.
  socket.on("error", () => {});
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
