// A Jazz app without a framework: jazz-tools/browser, JazzClerkAuth and the helper. Bundled by the
// test, but for the helper, which the browser loads as it is.
import { JazzClerkAuth, co, z } from "jazz-tools";
import { JazzBrowserContextManager } from "jazz-tools/browser";

import { installAuthenticatedWebSocket } from "/clerk-client/index.js";
import { ClerkClient } from "../../interop/auth/clerk_client.mjs";
import { networkOf } from "../../interop/auth/network.mjs";

const Tags = co.list(z.string());
const Note = co.map({ text: z.string(), tags: Tags });
const network = networkOf(WebSocket);
const manager = new JazzBrowserContextManager();
const secrets = manager.getAuthSecretStorage();
let clerk;

const loaded = (id) => Note.load(id, { resolve: { tags: true } });
const plain = ({ text, tags }) => ({ text, tags: [...tags] });
const me = () => manager.getCurrentValue().me;

window.app = {
  async start({ peer, frontend }) {
    clerk = new ClerkClient(frontend);
    globalThis.WebSocket = network.WebSocket;
    installAuthenticatedWebSocket({ peer, getToken: () => clerk.session?.getToken() });
    await manager.createContext({ sync: { peer, when: "signedUp" } });
    const { authenticate, logOut } = manager;
    new JazzClerkAuth(authenticate, logOut, secrets).registerListener(clerk);
  },

  async signIn({ user, sid }) {
    const followed = new Promise((resolve) => secrets.onUpdate(resolve));
    clerk.signIn({ user, sid });
    if (!secrets.isAuthenticated) await followed;
    return { account: me().$jazz.id, metadata: clerk.user.unsafeMetadata };
  },

  async create({ text, tags }) {
    const note = Note.create({ text, tags });
    await me().$jazz.waitForAllCoValuesSync({ timeout: 20_000 });
    return note.$jazz.id;
  },

  async read(id) {
    return plain(await loaded(id));
  },

  async edit(id, { text, tag }) {
    const note = await loaded(id);
    note.$jazz.set("text", text);
    note.tags.$jazz.push(tag);
  },

  /** Wait until the note has exactly these tags, in any order. */
  until(id, tags) {
    const wanted = JSON.stringify([...tags].sort());
    const { promise, resolve } = Promise.withResolvers();
    const stop = Note.subscribe(id, { resolve: { tags: true } }, (note) => {
      if (JSON.stringify([...note.tags].sort()) === wanted) resolve();
    });
    return promise.finally(() => stop());
  },

  fail: () => network.fail(),
  restore() {
    network.restore();
    window.dispatchEvent(new Event("online")); // as a browser does; Jazz tries again at once
  },
};
