// What apps write. An error that is expected and does not come is an error, too.
import {
  SUBPROTOCOL,
  authenticatedWebSocket,
  installAuthenticatedWebSocket,
} from "../../../../deploy/clerk-client/index.js";

// What Clerk's getToken and Jazz's startWorker look like.
declare const clerk: {
  session?: { getToken(options?: { template?: string }): Promise<string | null> } | null;
};
interface JazzSocket {
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  close(): void;
  send(data: string): void;
  readyState: number;
  bufferedAmount: number;
}
declare function startWorker(options: { WebSocket?: new (url: string) => JazzSocket }): void;
declare class Ws {
  constructor(url: string, protocols?: string[], options?: { headers: Record<string, string> });
  addEventListener(type: string, listener: (event: any) => void): void;
  close(): void;
  send(data: string): void;
  readyState: number;
  bufferedAmount: number;
  terminate(): void;
}

const undo: () => void = installAuthenticatedWebSocket({
  peer: "wss://sync.example.com/?key=app",
  getToken: () => clerk.session?.getToken(),
  onClose: ({ code, reason, wasOpen }) => {
    const shown: [number, string, boolean] = [code, reason, wasOpen];
    return shown;
  },
  onTokenError: (error: unknown) => error,
});
undo();

const Browser: typeof WebSocket = authenticatedWebSocket({ peer: "ws://a", getToken: () => null });
const state: number = new Browser("ws://a").readyState + Browser.OPEN;
const name: "bandstand.clerk" = SUBPROTOCOL;

const Node: typeof Ws = authenticatedWebSocket({
  peer: "wss://sync.example.com",
  getToken: () => "key",
  carrier: "header",
  WebSocket: Ws,
  getTokenTimeout: 1_000,
});
startWorker({ WebSocket: Node });

// @ts-expect-error a token is no getToken
authenticatedWebSocket({ peer: "wss://a", getToken: "token" });
// @ts-expect-error no such carrier
authenticatedWebSocket({ peer: "wss://a", getToken: () => null, carrier: "cookie" });
// @ts-expect-error peer is missing
authenticatedWebSocket({ getToken: () => null });
// @ts-expect-error the global one is what it installs
installAuthenticatedWebSocket({ peer: "wss://a", getToken: () => null, WebSocket: Ws });

export { name, state };
