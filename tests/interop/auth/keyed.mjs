// A jazz-tools server worker that has no Clerk user but a key, sent in a header.
import { authenticatedWebSocket } from "../../../deploy/clerk-client/index.js";
import { WebSocket as NodeSocket, WebSocketPeerWithReconnection, crypto, load } from "../driver/release.mjs";
import { networkOf } from "./network.mjs";
import { NoteTaker } from "./notes.mjs";

const network = networkOf(NodeSocket);

export class KeyedWorker extends NoteTaker {
  async open({ url, key, name }) {
    const tools = await load("jazz-tools");
    const { startWorker } = await load("jazz-tools/worker");
    this.learn(tools);
    const WebSocket = authenticatedWebSocket({
      peer: url,
      getToken: () => key,
      carrier: "header",
      WebSocket: network.WebSocket,
    });
    const credentials = await newAccount(tools, { url, name, WebSocket });
    this.session = await startWorker({ ...credentials, syncServer: url, WebSocket, crypto });
    this.me = this.session.worker;
  }

  network_fails() {
    network.fail();
  }

  network_returns() {
    network.restore();
  }

  connected() {
    return this.session.waitForConnection();
  }
}

/** Make an account and upload it. */
async function newAccount(tools, { url, name, WebSocket }) {
  const peers = [];
  const connection = new WebSocketPeerWithReconnection({
    peer: url,
    reconnectionTimeout: 100,
    addPeer: (peer) => peers.push(peer),
    removePeer: () => {},
    WebSocketConstructor: WebSocket,
  });
  connection.enable();
  const context = await tools.createJazzContextForNewAccount({
    crypto,
    peers,
    creationProps: { name },
    sessionProvider: new tools.MockSessionProvider(),
  });
  await context.node.syncManager.waitForAllCoValuesSync(20_000);
  connection.disable();
  context.done();
  return { accountID: context.account.$jazz.id, accountSecret: context.node.agentSecret };
}
