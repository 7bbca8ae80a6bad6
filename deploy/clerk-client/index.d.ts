/** How the token travels: see "Carriers" in README.md. */
export type Carrier = "subprotocol" | "query" | "header";

/** Why a socket to the sync server ended; browsers do not tell a refused handshake from a lost one. */
export interface SocketEnd {
  /** 1006 if the connection was refused or lost; else what the server said. */
  code: number;
  reason: string;
  /** Whether the server had let the socket in. */
  wasOpen: boolean;
}

/** A constructor like the platform's own WebSocket, that of React Native, or that of `ws`. */
export interface SocketConstructor {
  // The three agree on no common type for their arguments and instances.
  new (url: any, protocols?: any, options?: any): any;
}

/** The global constructor, where this project's types know of one (Node's older types do not). */
export type GlobalWebSocket = typeof globalThis extends {
  WebSocket: infer Platform extends SocketConstructor;
}
  ? Platform
  : SocketConstructor;

export interface AuthenticatedWebSocketOptions<
  Platform extends SocketConstructor = GlobalWebSocket,
> {
  /** The sync server's URL, as in Jazz's `sync.peer`; only its scheme, host and port are looked at. */
  peer: string;
  /**
   * Asked without arguments at every connect. `null`, `undefined` and `""` mean signed out. When it
   * throws, rejects or returns something that is no token, the socket connects without one.
   */
  getToken: () => string | null | undefined | Promise<string | null | undefined>;
  /** "subprotocol" unless given. "header" needs React Native's WebSocket or that of `ws`. */
  carrier?: Carrier;
  /** The constructor to build on; the global one unless given. */
  WebSocket?: Platform;
  /** Milliseconds after which an unsettled `getToken()` counts as signed out; 10,000 unless given. */
  getTokenTimeout?: number;
  /** Called with what `getToken()` threw or why its answer is not used; never with a token. */
  onTokenError?: (error: unknown) => void;
  /** Called when a socket to the sync server ends, also one that never opened. */
  onClose?: (end: SocketEnd) => void;
}

/** The name that the server echoes when the token comes as a subprotocol. */
export const SUBPROTOCOL: "bandstand.clerk";

/**
 * A WebSocket constructor that adds a fresh token to each socket to `peer`'s host. For every other
 * URL it is the platform's own: same instances, same static members.
 *
 * Sockets to `peer` have the WebSocket API (events, handlers, `readyState`, `bufferedAmount`,
 * `binaryType`, `send`, `close`), but their events are plain objects.
 *
 * @throws TypeError if an option makes no sense on this platform.
 */
export function authenticatedWebSocket<Platform extends SocketConstructor = GlobalWebSocket>(
  options: AuthenticatedWebSocketOptions<Platform>,
): Platform;

/**
 * Put such a constructor in the place of the global WebSocket, which is where Jazz looks for one in
 * browsers and on React Native. Call it before Jazz's provider mounts. Does nothing where there is no
 * global WebSocket (a page rendered on a server).
 *
 * @returns a function that puts the former constructor back, unless somebody else has replaced ours.
 */
export function installAuthenticatedWebSocket(
  options: Omit<AuthenticatedWebSocketOptions, "WebSocket">,
): () => void;
