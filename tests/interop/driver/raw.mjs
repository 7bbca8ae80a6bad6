// A bare websocket: says exactly what it is told, remembers all it hears.
import { isDeepStrictEqual } from "node:util";

import { WebSocket } from "./release.mjs";
import { Wire } from "./wire.mjs";

/** Whether every member of `wanted` is in `message` (nested objects compared whole). */
function matches(message, wanted) {
  return Object.entries(wanted).every(([key, value]) => isDeepStrictEqual(message?.[key], value));
}

export class RawSocket {
  wire = new Wire();
  #unread = [];
  #waiting = new Set();
  #closed = false;

  open({ url }) {
    this.socket = new (this.wire.socketClass())(url);
    this.socket.on("message", (data) => {
      for (const line of String(data).split("\n")) this.#arrived(JSON.parse(line));
    });
    this.socket.on("close", () => {
      this.#closed = true;
      for (const waiter of this.#waiting) waiter.fail(new Error("the server closed the socket"));
    });
    return new Promise((resolve, reject) => {
      this.socket.on("open", () => resolve(null));
      this.socket.on("error", reject);
    });
  }

  #arrived(message) {
    if (message?.type === "ping" && !message.action) {
      this.socket.emit("jazz-ping");
      return;
    }
    this.#unread.push(message);
    for (const waiter of this.#waiting) waiter.check();
  }

  /** Send one frame, a text as it is or a JSON value. */
  send({ frame, message }) {
    this.socket.send(frame ?? JSON.stringify(message));
  }

  /** The first message not handed out before that has the members of `match`. */
  expect({ match, timeout = 10_000 }) {
    return new Promise((resolve, reject) => {
      const finish = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(waiter);
        settle(value);
      };
      const waiter = {
        fail: (error) => finish(reject, error),
        check: () => {
          const found = this.#unread.findIndex((message) => matches(message, match));
          if (found >= 0) finish(resolve, this.#unread.splice(found, 1)[0]);
        },
      };
      const timer = setTimeout(() => {
        const unread = JSON.stringify(this.#unread).slice(0, 2000);
        waiter.fail(new Error(`no message like ${JSON.stringify(match)}; unread: ${unread}`));
      }, timeout);
      this.#waiting.add(waiter);
      waiter.check();
      if (this.#closed && this.#waiting.has(waiter)) waiter.fail(new Error("socket is closed"));
    });
  }

  /** Wait for the server's next ping. */
  pinged() {
    return new Promise((resolve, reject) => {
      this.socket.once("jazz-ping", () => resolve(null));
      this.socket.once("close", () => reject(new Error("the server closed the socket")));
      if (this.#closed) reject(new Error("socket is closed"));
    });
  }

  /** Say goodbye, but neither hear the answer nor hang up. */
  linger() {
    const tcp = this.socket._socket;
    tcp.pause();
    tcp.write(Buffer.from([0x88, 0x80, 0, 0, 0, 0])); // an empty, masked close frame
  }

  /** Send a question; whether a message about the same id comes before the socket ends. */
  async answers({ message }) {
    if (this.#closed) return false;
    this.socket.send(JSON.stringify(message));
    try {
      await this.expect({ match: { id: message.id } });
      return true;
    } catch (error) {
      if (this.#closed) return false;
      throw error;
    }
  }

  close() {
    this.socket.terminate();
  }
}
