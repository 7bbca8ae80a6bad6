// One device of a user: jazz-tools as a browser or phone runs it, signed in by JazzClerkAuth.
//
// The context is made as jazz-tools/browser makes it (`sync.when: "signedUp"`), without IndexedDB.
// jazz-tools keeps the account and its secrets in globals: one process holds one device.
import { installAuthenticatedWebSocket } from "../../../deploy/clerk-client/index.js";
import { WebSocket, WebSocketPeerWithReconnection, crypto, load } from "../driver/release.mjs";
import { ClerkClient } from "./clerk_client.mjs";
import { networkOf } from "./network.mjs";
import { NoteTaker } from "./notes.mjs";

const tools = await load("jazz-tools");
const network = networkOf(WebSocket);

class ContextManager extends tools.JazzContextManager {
  async getNewContext({ sync }, authProps) {
    const { authSecretStorage } = this;
    const peers = [];
    let node;
    const connection = new WebSocketPeerWithReconnection({
      peer: sync.peer,
      reconnectionTimeout: 50,
      addPeer: (peer) => (node ? node.syncManager.addPeer(peer) : peers.push(peer)),
      removePeer: () => {},
    });
    const follow = (signedUp) => (signedUp ? connection.enable() : connection.disable());
    const credentials = authProps?.credentials ?? (await authSecretStorage.get());
    const unsubscribe = authSecretStorage.onUpdate(follow);
    follow(authSecretStorage.getIsAuthenticated(credentials));
    const context = await tools.createJazzContext({
      credentials: authProps?.credentials,
      newAccountProps: authProps?.newAccountProps,
      peers,
      syncWhen: sync.when,
      crypto,
      defaultProfileName: "Somebody",
      sessionProvider: new tools.MockSessionProvider(),
      authSecretStorage,
    });
    ({ node } = context);
    return {
      me: context.account,
      node,
      connection,
      done() {
        connection.disable();
        unsubscribe();
        context.done();
      },
      logOut() {
        unsubscribe();
        connection.disable();
        return context.logOut();
      },
      addConnectionListener: () => () => {},
      connected: () => connection.connected,
    };
  }

  get connection() {
    return this.context.connection;
  }
}

/** The commands about notes are those of NoteTaker. */
export class Device extends NoteTaker {
  refusals = [];

  /** Start the app, signed out: an anonymous account that does not sync. */
  async open({ url, frontend }) {
    this.learn(tools);
    this.clerk = new ClerkClient(frontend);
    globalThis.WebSocket = network.WebSocket;
    installAuthenticatedWebSocket({
      peer: url,
      getToken: () => this.clerk.session?.getToken(),
      onClose: ({ wasOpen }) => this.#ended(wasOpen),
    });
    this.manager = new ContextManager();
    await this.manager.createContext({ sync: { peer: url, when: "signedUp" } });
    const { authenticate, logOut } = this.manager;
    this.secrets = this.manager.getAuthSecretStorage();
    const auth = new tools.JazzClerkAuth(authenticate, logOut, this.secrets);
    auth.registerListener(this.clerk);
  }

  /** Sign in with Clerk; resolves when Jazz has followed (by signing up or logging in). */
  async sign_in({ user, sid }) {
    const followed = new Promise((resolve) => {
      const stop = this.secrets.onUpdate((authenticated) => {
        if (!authenticated) return;
        stop();
        resolve(null);
      });
    });
    this.clerk.signIn({ user, sid });
    if (!this.secrets.isAuthenticated) await followed;
    return { account: this.me.$jazz.id, metadata: this.clerk.user.unsafeMetadata };
  }

  /** The Clerk session goes on in a new one, as after signing in again; Jazz stays as it was. */
  renew({ sid }) {
    this.clerk.signIn({ user: this.clerk.user, sid });
  }

  get me() {
    return this.manager.getCurrentValue().me;
  }

  set me(_) {} // Worker's own

  network_fails() {
    network.fail();
  }

  network_returns() {
    network.restore();
  }

  connected() {
    return this.manager.connection.waitUntilConnected();
  }

  /** Wait until a connection was refused (from now on). */
  refused() {
    return new Promise((resolve) => this.refusals.push(resolve));
  }

  #ended(wasOpen) {
    if (wasOpen || !network.isUp) return;
    for (const resolve of this.refusals.splice(0)) resolve(null);
  }

  close() {
    this.manager?.done();
  }
}
