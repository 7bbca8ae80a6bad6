// A platform's WebSocket, with a network that a test can take away. For Node and for browsers.

/** `{WebSocket, fail(), restore(), isUp}`: a constructor on `Platform`, and its network. */
export function networkOf(Platform) {
  const sockets = new Set();
  const network = {
    isUp: true,

    /** Cut every connection; those made from now on fail. */
    fail() {
      network.isUp = false;
      for (const socket of sockets) socket.close();
    },

    restore() {
      network.isUp = true;
    },

    WebSocket: class extends Platform {
      constructor(url, ...rest) {
        super(network.isUp ? url : "ws://127.0.0.1:1", ...rest); // nothing listens on port 1
        sockets.add(this);
        this.addEventListener("close", () => sockets.delete(this));
      }
    },
  };
  return network;
}
