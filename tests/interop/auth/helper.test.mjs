// The client helper against a websocket server of our own. Run: node --test tests/interop/auth
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, beforeEach, describe, test } from "node:test";
import { inspect } from "node:util";

import {
  SUBPROTOCOL,
  authenticatedWebSocket,
  installAuthenticatedWebSocket,
} from "../../../deploy/clerk-client/index.js";
import { WebSocket, next, openDoor } from "./doors.mjs";

const TOKEN = "header.claims.signature-1";
const HOST = "wss://sync.example.com";

/** A platform that never gets anywhere by itself: the test moves it. */
class Puppet {
  static OPEN = 1;
  static made = [];
  readyState = 0;
  sent = [];
  #listeners = [];

  constructor(...args) {
    this.args = args;
    Puppet.made.push(this);
  }

  addEventListener(type, listener) {
    this.#listeners.push([type, listener]);
  }

  emit(type, details = {}) {
    if (type === "open") this.readyState = 1;
    if (type === "close") this.readyState = 3;
    for (const [wanted, listener] of this.#listeners) {
      if (wanted === type) listener({ type, target: this, ...details });
    }
  }

  send(data) {
    this.sent.push(data);
  }

  close(...args) {
    this.readyState = 2;
    this.closedWith = args;
  }
}

/** A function and what it was called with. */
function recorded(answer = () => undefined) {
  const calls = [];
  const call = (...args) => {
    calls.push(args);
    return answer(...args);
  };
  return Object.assign(call, { calls });
}

function later() {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Close and wait: what is left behind would meet the next test's mocked timers. */
async function end(socket) {
  socket.close();
  await next(socket, "close");
}

let door;
before(async () => {
  door = await openDoor();
});
after(() => door.close());
beforeEach(() => {
  door.requests.length = 0;
  Puppet.made.length = 0;
});

function wrapped(options = {}) {
  return authenticatedWebSocket({ peer: door.url, getToken: () => TOKEN, WebSocket, ...options });
}

function puppet(options = {}) {
  const Socket = authenticatedWebSocket({
    peer: HOST,
    getToken: () => TOKEN,
    WebSocket: Puppet,
    ...options,
  });
  return new Socket(`${HOST}/?key=app`);
}

describe("the token", () => {
  test("goes into a subprotocol pair of which the server echoes the name", async () => {
    const socket = new (wrapped())(`${door.url}/?key=app`);
    await next(socket, "open");
    const [{ url, headers }] = door.requests;
    assert.equal(headers["sec-websocket-protocol"], `${SUBPROTOCOL},${TOKEN}`);
    assert.equal(url, "/?key=app");
    assert.equal(socket.protocol, SUBPROTOCOL);
    await end(socket);
  });

  for (const [given, seen] of [
    ["/", `/?token=${TOKEN}`],
    ["", `/?token=${TOKEN}`],
    ["/?key=app", `/?key=app&token=${TOKEN}`],
    ["/?key=app#part", `/?key=app&token=${TOKEN}`],
    ["/#what?", `/?token=${TOKEN}`],
  ]) {
    test(`goes into the query of "${given}"`, async () => {
      const socket = new (wrapped({ carrier: "query" }))(`${door.url}${given}`);
      await next(socket, "open");
      assert.equal(door.requests[0].url, seen);
      assert.equal(socket.url, `${door.url}${given}`);
      await end(socket);
    });
  }

  test("goes into a header, beside those that were asked for", async () => {
    const Socket = wrapped({ carrier: "header" });
    const options = { headers: { "X-Mine": "1" } };
    for (const args of [[options], [[], options]]) {
      const socket = new Socket(door.url, ...args);
      await next(socket, "open");
      const { headers, url } = door.requests.pop();
      assert.equal(headers.authorization, `Bearer ${TOKEN}`);
      assert.equal(headers["x-mine"], "1");
      assert.equal(url, "/");
      await end(socket);
    }
  });

  test("is asked for plainly, anew at every connect", async () => {
    let count = 0;
    const getToken = recorded(async () => `token-${++count}`);
    const Socket = wrapped({ getToken });
    for (const expected of ["token-1", "token-2", "token-3"]) {
      const socket = new Socket(door.url);
      await next(socket, "open");
      assert.match(door.requests.at(-1).headers["sec-websocket-protocol"], RegExp(`${expected}$`));
      await end(socket);
    }
    assert.deepEqual(getToken.calls, [[], [], []]);
  });

  test("keeps the protocols that were asked for", async () => {
    for (const asked of ["mine", ["mine"]]) {
      const socket = new (wrapped())(door.url, asked);
      await next(socket, "open");
      const offered = door.requests.pop().headers["sec-websocket-protocol"];
      assert.equal(offered, `${SUBPROTOCOL},${TOKEN},mine`);
      await end(socket);
    }
  });

  const failures = {
    "signed out": { getToken: () => null, told: 0 },
    "no session yet": { getToken: () => undefined, told: 0 },
    "an empty token": { getToken: async () => "", told: 0 },
    "getToken throws": { getToken: () => assert.fail("offline"), told: 1 },
    "getToken rejects": { getToken: () => Promise.reject(new Error("offline")), told: 1 },
    "getToken never settles": { getToken: () => new Promise(() => {}), told: 1 },
    "an answer of another type": { getToken: () => ({ jwt: TOKEN }), told: 1 },
    "an answer that would break a header": { getToken: () => `${TOKEN}\r\nX: y`, told: 1 },
  };
  for (const [name, { getToken, told }] of Object.entries(failures)) {
    for (const carrier of ["subprotocol", "query", "header"]) {
      test(`is left out (${name}, ${carrier})`, async () => {
        const onTokenError = recorded();
        const options = { getToken, carrier, onTokenError, getTokenTimeout: 20 };
        const socket = new (wrapped(options))(door.url);
        await next(socket, "open");
        const [{ url, headers }] = door.requests;
        assert.equal(url, "/");
        assert.equal(headers.authorization, undefined);
        assert.equal(headers["sec-websocket-protocol"], undefined);
        assert.equal(onTokenError.calls.length, told);
        assert.doesNotMatch(inspect(onTokenError.calls), /claims/);
        await end(socket);
      });
    }
  }

  test("is waited for ten seconds, and used no more when it comes later", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    let settle;
    const socket = puppet({ getToken: () => new Promise((resolve) => (settle = resolve)) });
    t.mock.timers.tick(9_999);
    await later();
    assert.equal(Puppet.made.length, 0);
    t.mock.timers.tick(1);
    await later();
    assert.deepEqual(Puppet.made[0].args, [`${HOST}/?key=app`, undefined, undefined]);
    settle(TOKEN);
    await later();
    assert.equal(Puppet.made.length, 1);
    assert.equal(socket.readyState, 0);
  });

  test("shows in no property, event or message", async () => {
    const heard = [];
    for (const method of ["log", "info", "debug", "warn", "error"]) {
      const original = console[method];
      console[method] = (...args) => heard.push(args);
      after(() => (console[method] = original));
    }
    const socket = puppet({ carrier: "query" });
    for (const type of ["open", "message", "error", "close"]) {
      socket.addEventListener(type, (event) => heard.push(event));
    }
    await later();
    const [inner] = Puppet.made;
    assert.match(inner.args[0], RegExp(TOKEN)); // it is there to be found
    for (const type of ["open", "message", "error", "close"]) inner.emit(type);
    assert.equal(heard.length, 4);
    assert.doesNotMatch(inspect([socket, heard], { depth: 9, showHidden: true }), RegExp(TOKEN));
  });

  test("is not quoted when the platform refuses it", async () => {
    class Refusing {
      constructor(...args) {
        throw new SyntaxError(`invalid: ${inspect(args)}`);
      }
    }
    const socket = puppet({ WebSocket: Refusing });
    const [error, close] = await Promise.all([next(socket, "error"), next(socket, "close")]);
    assert.doesNotMatch(inspect([error, close]), RegExp(TOKEN));
    assert.equal(close.code, 1006);
    assert.equal(socket.readyState, 3);
  });
});

describe("another host", () => {
  const others = [
    "wss://other.example.com",
    "ws://sync.example.com",
    "wss://sync.example.com:8443",
    "wss://sync.example.com.evil.example",
    "wss://sync.example.com@evil.example",
    "wss://evil.example/?wss://sync.example.com",
    "wss://evil.example\\@sync.example.com",
    "wss://sync.example.com\t.evil.example",
    "/relative",
  ];
  for (const url of others) {
    test(`${JSON.stringify(url)} has the platform's own socket`, () => {
      const getToken = recorded();
      const Socket = authenticatedWebSocket({ peer: HOST, getToken, WebSocket: Puppet });
      const socket = new Socket(url, ["a"], { some: "option" });
      assert.equal(Object.getPrototypeOf(socket), Puppet.prototype);
      assert.deepEqual(socket.args, [url, ["a"], { some: "option" }]);
      assert.deepEqual(getToken.calls, []);
    });
  }

  for (const url of [
    "wss://sync.example.com",
    "wss://sync.example.com:443/any/path?key=app",
    "WSS://SYNC.example.com/",
    "https://sync.example.com/",
    new URL("wss://sync.example.com/"),
  ]) {
    test(`is not ${url}`, async () => {
      const Socket = authenticatedWebSocket({
        peer: `${HOST}/?key=app`,
        getToken: () => TOKEN,
        WebSocket: Puppet,
      });
      const socket = new Socket(url);
      await later();
      assert.deepEqual(Puppet.made[0].args, [String(url), [SUBPROTOCOL, TOKEN], undefined]);
      assert.equal(socket.url, String(url));
    });
  }

  test("static members and instanceof are the platform's", () => {
    const Socket = authenticatedWebSocket({ peer: HOST, getToken: () => TOKEN, WebSocket });
    for (const name of ["CONNECTING", "OPEN", "CLOSING", "CLOSED", "prototype", "name"]) {
      assert.equal(Socket[name], WebSocket[name]);
    }
    const [ours, theirs] = [new Socket(HOST), new Socket("ws://127.0.0.1:1")];
    theirs.on("error", () => {});
    assert.ok(ours instanceof Socket);
    assert.ok(theirs instanceof Socket);
    assert.ok(theirs instanceof WebSocket);
    assert.ok(!({} instanceof Socket));
    ours.close();
    theirs.terminate();
  });

  test("may be reached by a subclass", () => {
    class Mine extends authenticatedWebSocket({ peer: HOST, getToken: () => 1, WebSocket: Puppet }) {
      mine = true;
    }
    const socket = new Mine("ws://elsewhere.example");
    assert.ok(socket instanceof Mine);
    assert.ok(socket.mine);
  });
});

describe("before it is open", () => {
  test("close() means that nobody connects", async () => {
    let settle;
    const onClose = recorded();
    const getToken = () => new Promise((resolve) => (settle = resolve));
    const socket = puppet({ getToken, onClose });
    const seen = [];
    for (const type of ["error", "close"]) {
      socket.addEventListener(type, (event) => seen.push([type, socket.readyState, event.code]));
    }
    await later();
    socket.close();
    socket.close();
    assert.equal(socket.readyState, 2);
    assert.deepEqual(seen, []); // as platforms do: not from within close()
    await next(socket, "close");
    settle(TOKEN);
    await later();
    assert.deepEqual(seen, [["error", 3, undefined], ["close", 3, 1006]]);
    assert.deepEqual(onClose.calls, [[{ code: 1006, reason: "", wasOpen: false }]]);
    assert.equal(Puppet.made.length, 0);
    socket.send("dropped");
    socket.close();
    assert.equal(socket.readyState, 3);
  });

  test("close() reaches a socket that is on its way", async () => {
    const socket = puppet();
    await later();
    socket.close(4000, "enough");
    assert.deepEqual(Puppet.made[0].closedWith, [4000, "enough"]);
    assert.equal(socket.readyState, 2);
  });

  test("close() from an open listener ends it, as Jazz does when it goes offline early", async () => {
    const socket = new (wrapped())(door.url);
    socket.addEventListener("open", () => socket.close(), { once: true });
    await next(socket, "close");
    assert.equal(socket.readyState, 3);
  });

  test("send() throws, nothing is buffered", async () => {
    const socket = puppet();
    assert.equal(socket.bufferedAmount, 0);
    assert.throws(() => socket.send("x"), { name: "InvalidStateError" });
    await later();
    assert.throws(() => socket.send("x"), { name: "InvalidStateError" });
    assert.equal(socket.bufferedAmount, 0); // React Native has none
    const [inner] = Puppet.made;
    inner.emit("open");
    socket.send("y");
    inner.bufferedAmount = 150_000;
    assert.deepEqual([inner.sent, socket.bufferedAmount, socket.readyState], [["y"], 150_000, 1]);
  });

  test("binaryType is remembered", async () => {
    const socket = new (wrapped())(door.url);
    assert.equal(socket.binaryType, "blob");
    socket.binaryType = "arraybuffer";
    assert.equal(socket.binaryType, "arraybuffer");
    await next(socket, "open");
    socket.send(new Uint8Array([1, 2]));
    const { data } = await next(socket, "message");
    assert.ok(data instanceof ArrayBuffer); // unlike the default of ws
    assert.deepEqual(new Uint8Array(data), new Uint8Array([1, 2]));
    socket.binaryType = "nodebuffer";
    socket.send(new Uint8Array([3]));
    assert.ok((await next(socket, "message")).data instanceof Buffer);
    await end(socket);
  });
});

describe("events", () => {
  test("reach listeners and handlers with the socket as target", async () => {
    const socket = new (wrapped())(door.url);
    const seen = [];
    socket.onmessage = function (event) {
      seen.push([event.data, event.target === socket, this === socket]);
    };
    socket.addEventListener("message", {
      handleEvent: ({ data, currentTarget }) => seen.push([data, currentTarget === socket]),
    });
    await next(socket, "open");
    socket.send("hello");
    await next(socket, "message");
    assert.deepEqual(seen, [["hello", true, true], ["hello", true]]);
    socket.close(1000);
    const { code, wasClean } = await next(socket, "close");
    assert.deepEqual([code, wasClean], [1000, true]);
  });

  test("listeners come once, go when removed, and may be unknown", async () => {
    const socket = puppet();
    await later();
    const [inner] = Puppet.made;
    const seen = [];
    const often = () => seen.push("often");
    const second = () => seen.push("second");
    socket.addEventListener("message", often);
    socket.addEventListener("message", often);
    socket.addEventListener("message", () => socket.removeEventListener("message", second));
    socket.addEventListener("message", second);
    socket.addEventListener("message", () => seen.push("once"), { once: true });
    socket.addEventListener("ping", often);
    socket.removeEventListener("ping", often);
    socket.addEventListener("message", null);
    inner.emit("message");
    inner.emit("message");
    socket.removeEventListener("message", often);
    inner.emit("message");
    assert.deepEqual(seen, ["often", "once", "often"]);
  });

  test("an error in one listener is uncaught, not the others' business", async (t) => {
    const socket = puppet();
    await later();
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const seen = [];
    socket.onmessage = () => assert.fail("from a listener");
    socket.addEventListener("message", ({ data }) => seen.push(data));
    Puppet.made[0].emit("message", { data: "x" });
    assert.deepEqual(seen, ["x"]);
    assert.throws(() => t.mock.timers.tick(0), /from a listener/);
  });

  test("close brings the server's code and reason", async () => {
    const onClose = recorded();
    const socket = new (wrapped({ onClose }))(door.url);
    const client = await door.nextClient();
    await next(socket, "open");
    client.close(4401, "sign in again");
    const { code, reason } = await next(socket, "close");
    assert.deepEqual([code, reason], [4401, "sign in again"]);
    assert.deepEqual(onClose.calls, [[{ code: 4401, reason: "sign in again", wasOpen: true }]]);
  });

  test("a refusal is an error and a close", async () => {
    const closed = await openDoor({ admit: () => 401 });
    const onClose = recorded();
    const Socket = wrapped({ peer: closed.url, onClose });
    const socket = new Socket(closed.url);
    const [error, close] = await Promise.all([next(socket, "error"), next(socket, "close")]);
    closed.close();
    assert.match(error.message, /401/);
    assert.equal(close.code, 1006);
    assert.deepEqual(onClose.calls, [[{ code: 1006, reason: "", wasOpen: false }]]);
  });
});

describe("the global WebSocket", () => {
  const options = { getToken: () => TOKEN };
  test("is replaced and put back", async () => {
    globalThis.WebSocket = WebSocket;
    const undo = installAuthenticatedWebSocket({ ...options, peer: door.url });
    assert.notEqual(globalThis.WebSocket, WebSocket);
    const socket = new globalThis.WebSocket(door.url);
    await next(socket, "open");
    assert.equal(socket.protocol, SUBPROTOCOL);
    await end(socket);
    undo();
    assert.equal(globalThis.WebSocket, WebSocket);
  });

  test("is left alone by an undo that comes too late", () => {
    globalThis.WebSocket = WebSocket;
    const undo = installAuthenticatedWebSocket({ ...options, peer: door.url });
    globalThis.WebSocket = Puppet;
    undo();
    assert.equal(globalThis.WebSocket, Puppet);
  });

  test("installed twice carries one token, the later one's", async () => {
    globalThis.WebSocket = Puppet;
    const old = recorded(() => "old");
    installAuthenticatedWebSocket({ peer: HOST, getToken: old });
    installAuthenticatedWebSocket({ peer: HOST, getToken: () => "new" });
    new globalThis.WebSocket(HOST);
    await later();
    assert.deepEqual(Puppet.made.map(({ args }) => args[1]), [[SUBPROTOCOL, "new"]]);
    assert.deepEqual(old.calls, []);
  });

  test("serves two sync servers", async () => {
    globalThis.WebSocket = Puppet;
    installAuthenticatedWebSocket({ peer: HOST, getToken: () => "one" });
    installAuthenticatedWebSocket({ peer: "wss://two.example", getToken: () => "two" });
    for (const url of [HOST, "wss://two.example"]) new globalThis.WebSocket(url);
    await later();
    const offered = Puppet.made.map(({ args }) => args[1][1]);
    assert.deepEqual(offered, ["one", "two"]);
  });

  test("may be missing where pages are rendered", () => {
    delete globalThis.WebSocket;
    installAuthenticatedWebSocket({ ...options, peer: HOST })();
    assert.ok(!("WebSocket" in globalThis));
  });
});

describe("options that make no sense are refused", () => {
  const good = { peer: HOST, getToken: () => TOKEN, WebSocket: Puppet };
  for (const [name, bad, words] of [
    ["a peer that is no websocket", { peer: "sync.example.com" }, /peer/],
    ["a token instead of a function", { getToken: TOKEN }, /getToken/],
    ["no WebSocket at all", { WebSocket: undefined }, /WebSocket/],
    ["an unknown carrier", { carrier: "toString" }, /carrier/],
    ["headers where none can be sent", { carrier: "header" }, /headers/],
  ]) {
    test(name, () => {
      assert.throws(() => authenticatedWebSocket({ ...good, ...bad }), words);
    });
  }
});

describe("below cojson-transport-ws", () => {
  const transport = createRequire(new URL("../clients/0.20.19/", import.meta.url));

  test("each reconnect has a new token and the peer's id has none", async () => {
    const { WebSocketPeerWithReconnection } = await import(transport.resolve("cojson-transport-ws"));
    const ids = new Set();
    let count = 0;
    const connection = new WebSocketPeerWithReconnection({
      peer: `${door.url}/?key=app`,
      reconnectionTimeout: 1,
      addPeer: ({ id }) => ids.add(id),
      removePeer: () => {},
      WebSocketConstructor: wrapped({ getToken: async () => `token-${++count}` }),
    });
    connection.enable();
    for (let round = 0; round < 3; round++) {
      const client = await door.nextClient();
      client.send(JSON.stringify({ type: "ping", time: Date.now(), dc: "test" }));
      await connection.waitUntilConnected();
      if (round < 2) client.terminate();
    }
    connection.disable();
    const offered = door.requests.map(({ headers }) => headers["sec-websocket-protocol"]);
    assert.deepEqual(offered, [1, 2, 3].map((number) => `${SUBPROTOCOL},token-${number}`));
    assert.deepEqual([...ids], [`${door.url}/?key=app`]);
  });
});
