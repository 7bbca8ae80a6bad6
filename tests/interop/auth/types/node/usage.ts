// A Node project whose types know no global WebSocket.
import { authenticatedWebSocket } from "../../../../../deploy/clerk-client/index.js";

declare class Ws {
  constructor(url: string, protocols?: string[], options?: { headers: Record<string, string> });
  terminate(): void;
}

const WebSocket = authenticatedWebSocket({
  peer: "wss://sync.example.com",
  getToken: () => "key",
  carrier: "header",
  WebSocket: Ws,
});
new WebSocket("wss://sync.example.com").terminate();
// @ts-expect-error it is Ws that comes out
new WebSocket("wss://sync.example.com").end();
