// A websocket server that lets in whom it is told to and remembers what each client asked for.
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const clients = new URL("../clients/0.20.19/", import.meta.url);
export const { WebSocket, WebSocketServer } = createRequire(clients)("ws");

/** Start one on a free port. `admit(request)` answers 101 (let in) or the status to refuse with. */
export async function openDoor({ admit = () => 101 } = {}) {
  const requests = [];
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => [...offered][0], // the pair's name, never the token
  });
  const http = createServer();
  http.on("upgrade", (request, socket, head) => {
    requests.push({ url: request.url, headers: request.headers });
    const status = admit(request);
    if (status !== 101) {
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      sockets.emit("connection", accepted, request);
      accepted.on("message", (data, binary) => accepted.send(data, { binary }));
    });
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return {
    url: `ws://127.0.0.1:${http.address().port}`,
    requests,
    sockets,
    nextClient: async () => (await once(sockets, "connection"))[0],
    close: () => {
      for (const client of sockets.clients) client.terminate();
      http.close();
      http.closeAllConnections();
    },
  };
}

/** The next event of a type, from anything with addEventListener. */
export function next(socket, type) {
  return new Promise((resolve) => {
    socket.addEventListener(type, resolve, { once: true });
  });
}
