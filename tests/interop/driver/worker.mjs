// A server worker: the jazz-tools API (schemas, accounts, groups) instead of bare cojson.
import { WebSocket, WebSocketPeerWithReconnection, crypto, load } from "./release.mjs";

const PATIENCE_MS = 20_000;

export class Worker {
  /** Make a new account with jazz-tools, then run `startWorker` with it. */
  async open({ url, name = "worker" }) {
    this.tools = await load("jazz-tools");
    const { startWorker } = await load("jazz-tools/worker");
    const { co, z } = this.tools;
    this.Tags = co.list(z.string());
    this.Note = co.map({ text: z.string(), tags: this.Tags });
    const credentials = await this.#newAccount(url, name);
    this.session = await startWorker({ ...credentials, syncServer: url, WebSocket, crypto });
    this.me = this.session.worker;
    return { account: credentials.accountID, secret: credentials.accountSecret };
  }

  async #newAccount(url, name) {
    const peers = [];
    const connection = new WebSocketPeerWithReconnection({
      peer: url,
      reconnectionTimeout: 100,
      addPeer: (peer) => peers.push(peer),
      removePeer: () => {},
      WebSocketConstructor: WebSocket,
    });
    connection.enable();
    const { MockSessionProvider, createJazzContextForNewAccount } = this.tools;
    // `peersToLoadFrom` up to 0.17, `peers` since; 0.19 and later want a session provider.
    const setup = { crypto, peers, peersToLoadFrom: peers, creationProps: { name } };
    if (MockSessionProvider) setup.sessionProvider = new MockSessionProvider();
    const context = await createJazzContextForNewAccount(setup);
    const { account, node } = context;
    await node.syncManager.waitForAllCoValuesSync(PATIENCE_MS);
    const id = account.$jazz?.id ?? account.id;
    connection.disable();
    context.done();
    return { accountID: id, accountSecret: node.agentSecret };
  }

  /** A note in a new group; `everyone` is the role of people who are not members. */
  async create_note({ text, tags, everyone }) {
    const { Group } = this.tools;
    const group = Group.create({ owner: this.me });
    if (everyone) group.addMember("everyone", everyone);
    // Old releases do not make the list from a plain array themselves.
    const list = this.Tags.create(tags, { owner: group });
    const note = this.Note.create({ text, tags: list }, { owner: group });
    await this.synced();
    return idOf(note);
  }

  async edit_note({ id, text, tag }) {
    const note = await this.#note(id);
    // `$jazz` came with 0.18; before it, values were changed by plain assignment.
    if (note.$jazz) {
      note.$jazz.set("text", text);
      note.tags.$jazz.push(tag);
    } else {
      note.text = text;
      note.tags.push(tag);
    }
    await this.synced();
  }

  async read_note({ id }) {
    return plain(await this.#note(id));
  }

  /** Wait until the note says `text` and has `tag`; answers with what it says then. */
  wait_note({ id, text, tag }) {
    return new Promise((resolve, reject) => {
      let seen = null;
      const give_up = () => reject(new Error(`waiting for ${text}; last: ${JSON.stringify(seen)}`));
      const timer = setTimeout(give_up, PATIENCE_MS);
      const stop = this.Note.subscribe(id, { loadAs: this.me, resolve: { tags: true } }, (note) => {
        seen = plain(note);
        if (seen.text !== text || !seen.tags.includes(tag)) return;
        clearTimeout(timer);
        setImmediate(() => stop());
        resolve(seen);
      });
    });
  }

  async synced() {
    const account = this.me.$jazz ?? this.me;
    await account.waitForAllCoValuesSync({ timeout: PATIENCE_MS });
  }

  close() {
    return this.session?.done();
  }

  async #note(id) {
    const note = await this.Note.load(id, { loadAs: this.me, resolve: { tags: true } });
    // Something that could not be loaded is null in old releases, `$isLoaded: false` in new ones.
    if (!note || note.$isLoaded === false) throw new Error(`note ${id} is unavailable`);
    return note;
  }
}

const idOf = (value) => value.$jazz?.id ?? value.id;
const plain = (note) => ({ text: note.text, tags: [...note.tags] });
