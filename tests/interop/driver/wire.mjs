// A client's websocket with a memory of what passed, and a way to lose a message on purpose.
import { WebSocket } from "./release.mjs";

const KEPT_MESSAGES = 500;
const KEPT_LENGTH = 500;

export class Wire {
  log = [];
  #losing = null;

  /** Swallow the next content message about value `id`, as if it had got lost on the way. */
  loseNextContent(id) {
    return new Promise((lost) => {
      this.#losing = { id, lost };
    });
  }

  note(direction, frame) {
    for (const message of String(frame).split("\n")) {
      if (message.startsWith('{"type":"ping"')) continue;
      this.log.push(`${direction} ${message.slice(0, KEPT_LENGTH)}`);
    }
    if (this.log.length > 2 * KEPT_MESSAGES) this.log.splice(0, this.log.length - KEPT_MESSAGES);
  }

  /** What is left of an outgoing frame (several messages, one a line), or null. */
  outgoing(frame) {
    if (!this.#losing) return frame;
    const kept = frame.split("\n").filter((line) => {
      const message = JSON.parse(line);
      const lose = this.#losing && message.action === "content" && message.id === this.#losing.id;
      if (lose) {
        this.note("lost", line);
        this.#losing.lost();
        this.#losing = null;
      }
      return !lose;
    });
    return kept.length > 0 ? kept.join("\n") : null;
  }

  /** A WebSocket class for the client's transport whose instances report to this wire. */
  socketClass() {
    const wire = this;
    return class extends WebSocket {
      constructor(url) {
        super(url, { maxPayload: 512 * 1024 * 1024 });
        this.on("message", (data) => wire.note("<", data));
      }

      send(frame, ...rest) {
        const kept = wire.outgoing(frame);
        if (kept === null) return;
        wire.note(">", kept);
        super.send(kept, ...rest);
      }
    };
  }
}
