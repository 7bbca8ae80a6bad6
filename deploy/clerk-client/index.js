// A WebSocket constructor that asks for a fresh token at every connect to one sync server.
//
// Jazz reconnects to the same URL for ever, and a Clerk session token lives for a minute: so the
// token cannot be part of the URL that the app gives to Jazz. It is added here, below Jazz, when a
// socket opens. Sockets to every other server are the platform's own, untouched.
//
// Nothing is kept: a token lives in a local variable between getToken() and the handshake; neither
// `url` nor any event shows it. No platform API is assumed but WebSocket, Promise, Proxy and timers
// (React Native has no DOM events and an incomplete URL class).

/** The first half of the subprotocol pair; the server echoes this name alone. */
export const SUBPROTOCOL = "bandstand.clerk";

const STATES = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
const { CONNECTING, CLOSING, CLOSED } = STATES;
const EVENTS = ["open", "message", "error", "close"];
const DETAILS = ["data", "code", "reason", "wasClean", "message", "error"]; // of platform events
const ABNORMAL = 1006; // the code browsers report for a socket that never opened
const TOKEN = /^[\w.~-]+$/; // goes into a subprotocol, a URL and a header without quoting

/** How each carrier changes what the platform's constructor is asked for. */
const carriers = new Map([
  ["subprotocol", ({ url, protocols, options }, token) => {
    return { url, protocols: [SUBPROTOCOL, token, ...(protocols ?? [])], options };
  }],
  ["query", ({ url, protocols, options }, token) => {
    const bare = url.replace(/#.*/, "");
    return { url: `${bare}${bare.includes("?") ? "&" : "?"}token=${token}`, protocols, options };
  }],
  ["header", ({ url, protocols, options }, token) => {
    const headers = { ...options?.headers, Authorization: `Bearer ${token}` };
    return { url, protocols, options: { ...options, headers } };
  }],
]);

let opening = false; // while a platform socket is made: a second wrapper below must not act

/** As described in index.d.ts. */
export function authenticatedWebSocket({
  peer,
  getToken,
  carrier = "subprotocol",
  WebSocket: Platform = globalThis.WebSocket,
  getTokenTimeout = 10_000,
  onTokenError,
  onClose,
}) {
  const origin = originOf(peer);
  if (!origin) throw new TypeError("peer must be a ws:// or wss:// URL");
  if (typeof getToken !== "function") throw new TypeError("getToken must be a function");
  if (typeof Platform !== "function") throw new TypeError("there is no WebSocket here: pass one");
  const carry = carriers.get(carrier);
  if (!carry) throw new TypeError(`there is no carrier "${carrier}"`);
  // The constructors that take headers, React Native's and ws, both have ping(); others do not.
  if (carrier === "header" && !Platform.prototype?.ping) {
    throw new TypeError("this WebSocket sends no headers: use another carrier, or pass that of ws");
  }
  const settings = { Platform, carry, getToken, getTokenTimeout, onTokenError, onClose };
  return new Proxy(Platform, {
    construct(target, args, newTarget) {
      const theirs = opening || originOf(args[0]) !== origin;
      if (theirs) return Reflect.construct(target, args, newTarget);
      return new AuthenticatedWebSocket(settings, ...args);
    },
    get(target, name, receiver) {
      if (name !== Symbol.hasInstance) return Reflect.get(target, name, receiver);
      return (socket) => socket instanceof AuthenticatedWebSocket || socket instanceof target;
    },
  });
}

/** As described in index.d.ts. */
export function installAuthenticatedWebSocket(options) {
  const before = globalThis.WebSocket;
  if (!before) return () => {}; // a page rendered on a server: nothing connects there
  const installed = authenticatedWebSocket(options);
  globalThis.WebSocket = installed;
  return () => {
    if (globalThis.WebSocket === installed) globalThis.WebSocket = before;
  };
}

/** Looks like a WebSocket from the start; the platform's own comes when the token is there. */
class AuthenticatedWebSocket {
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;
  #settings;
  #socket = null;
  #state = CONNECTING; // until there is a #socket
  #binaryType = null;
  #wasOpen = false;
  #listeners = Object.fromEntries(EVENTS.map((type) => [type, new Map()]));

  constructor(settings, url, protocols, options) {
    this.url = String(url);
    this.#settings = settings;
    const request = { url: this.url, protocols, options };
    if (typeof protocols === "string") request.protocols = [protocols];
    else if (protocols && !Array.isArray(protocols)) {
      Object.assign(request, { protocols: undefined, options: protocols }); // ws takes it so, too
    }
    this.#connect(request);
  }

  async #connect(request) {
    const { Platform, carry } = this.#settings;
    const token = await freshToken(this.#settings);
    if (this.#state !== CONNECTING) return; // closed meanwhile
    const { url, protocols, options } = token ? carry(request, token) : request;
    try {
      opening = true;
      this.#socket = new Platform(url, protocols, options);
    } catch {
      return this.#fail("the socket could not be made"); // their own words may quote the token
    } finally {
      opening = false;
    }
    for (const type of EVENTS) {
      this.#socket.addEventListener(type, (details) => this.#dispatch(type, details));
    }
    if (this.#binaryType) this.#socket.binaryType = this.#binaryType;
  }

  #fail(message) {
    this.#state = CLOSED;
    this.#dispatch("error", { message });
    this.#dispatch("close", { code: ABNORMAL, reason: "", wasClean: false });
  }

  /** An event of our own: that of the platform has the socket, and its URL, as `target`. */
  #dispatch(type, details) {
    const event = { type, target: this, currentTarget: this };
    for (const name of DETAILS) if (name in details) event[name] = details[name];
    if (type === "open") this.#wasOpen = true;
    if (type === "close") {
      const { code, reason } = event;
      call(this.#settings.onClose, { code, reason, wasOpen: this.#wasOpen });
    }
    call(this[`on${type}`]?.bind(this), event);
    const listeners = this.#listeners[type];
    for (const [listener, once] of [...listeners]) {
      if (!listeners.has(listener)) continue; // removed by the one before
      if (once) listeners.delete(listener);
      call(listener.handleEvent?.bind(listener) ?? listener.bind(this), event);
    }
  }

  addEventListener(type, listener, options) {
    const listeners = this.#listeners[type];
    if (!listener || !listeners || listeners.has(listener)) return;
    listeners.set(listener, Boolean(options?.once));
  }

  removeEventListener(type, listener) {
    this.#listeners[type]?.delete(listener);
  }

  send(data) {
    if (this.readyState === CONNECTING) {
      throw Object.assign(new Error("the socket is not open yet"), { name: "InvalidStateError" });
    }
    this.#socket?.send(data); // without a socket it is closed: dropped, as platforms do
  }

  close(code, reason) {
    if (this.#socket) return this.#socket.close(code, reason);
    if (this.#state !== CONNECTING) return;
    this.#state = CLOSING;
    setTimeout(() => this.#fail("closed before it was open"));
  }

  get readyState() {
    return this.#socket?.readyState ?? this.#state;
  }

  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0; // React Native has none
  }

  get protocol() {
    return this.#socket?.protocol ?? "";
  }

  get extensions() {
    return this.#socket?.extensions ?? "";
  }

  get binaryType() {
    return this.#socket?.binaryType ?? this.#binaryType ?? "blob";
  }

  set binaryType(type) {
    this.#binaryType = type;
    if (this.#socket) this.#socket.binaryType = type;
  }
}
Object.assign(AuthenticatedWebSocket.prototype, STATES);

/** What getToken() says now; null when signed out, failing, or not settling in time. */
async function freshToken({ getToken, getTokenTimeout, onTokenError }) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("getToken did not settle")), getTokenTimeout);
  });
  try {
    const token = await Promise.race([Promise.resolve().then(() => getToken()), late]);
    if (!token) return null;
    if (typeof token === "string" && TOKEN.test(token)) return token;
    throw new TypeError("getToken did not return a token");
  } catch (error) {
    call(onTokenError, error);
    return null;
  } finally {
    clearTimeout(timer);
  }
}

/** Scheme, host and port of a websocket URL, normalised; null if it is none. */
function originOf(url) {
  const [, secure, host] = /^(?:ws|http)(s?):\/\/([^/?#\\]+)/i.exec(String(url)) ?? [];
  if (!host) return null;
  const port = secure ? /:443$/ : /:80$/;
  return `ws${secure}://${host}`.toLowerCase().replace(port, "");
}

/** Call somebody's function; its error is nobody else's and surfaces like any uncaught one. */
function call(theirs, argument) {
  try {
    theirs?.(argument);
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
}
