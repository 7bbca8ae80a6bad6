// The platform's WebSocket of a device whose network the test can take away.
import { WebSocket } from "../driver/release.mjs";

export const network = {
  isUp: true,
  sockets: new Set(),

  /** Cut every connection; those made from now on fail. */
  fail() {
    this.isUp = false;
    for (const socket of this.sockets) socket.terminate();
  },

  restore() {
    this.isUp = true;
  },
};

export class NetworkSocket extends WebSocket {
  constructor(url, ...rest) {
    super(network.isUp ? url : "ws://127.0.0.1:1", ...rest); // nothing listens on port 1
    network.sockets.add(this);
    this.addEventListener("close", () => network.sockets.delete(this));
  }
}
