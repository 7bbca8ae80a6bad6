// One real client: its own account, LocalNode and websocket; the commands the tests give it.
import { setImmediate as tick } from "node:timers/promises";

import { editors } from "./editors.mjs";
import {
  SQLITE_STORAGE,
  WebSocketPeerWithReconnection,
  cojson,
  crypto,
  load,
} from "./release.mjs";
import { satisfies, snapshot } from "./snapshot.mjs";
import { Wire } from "./wire.mjs";

const { LocalNode } = cojson;
const PATIENCE_MS = 20_000;
const PACE_MS = 5;

export class Client {
  wire = new Wire();

  /**
   * Connect. Without `account` a new one is made, else `{id, secret}` is loaded.
   * `storage` ({driver, file}) gives the client a SQLite database of its own.
   * Answers with `{account, secret}`.
   */
  async open({ url, name = "someone", account, storage, online = true }) {
    const peers = [];
    this.connection = new WebSocketPeerWithReconnection({
      peer: url,
      reconnectionTimeout: 50,
      addPeer: (peer) => (this.node ? this.node.syncManager.addPeer(peer) : peers.push(peer)),
      removePeer: () => {},
      WebSocketConstructor: this.wire.socketClass(),
    });
    if (online) this.connection.enable();
    // The list of peers was called peersToLoadFrom up to 0.17.
    const setup = { crypto, peers, peersToLoadFrom: peers };
    if (storage) setup.storage = await openStorage(storage);
    if (account) {
      const credentials = { accountID: account.id, accountSecret: account.secret };
      this.node = await LocalNode.withLoadedAccount({ ...setup, ...credentials });
      this.secret = account.secret;
    } else {
      const made = await LocalNode.withNewlyCreatedAccount({ ...setup, creationProps: { name } });
      this.node = made.node;
      this.secret = made.accountSecret;
    }
    this.account = this.node.getCurrentAccountOrAgentID();
    return { account: this.account, secret: this.secret };
  }

  // --- connection ---

  offline() {
    this.connection.disable();
  }

  async online() {
    this.connection.enable();
    await this.connection.waitUntilConnected();
  }

  connected() {
    return this.connection.waitUntilConnected();
  }

  disconnected() {
    return new Promise((resolve) => {
      const listener = (isConnected) => {
        if (isConnected) return;
        // From a microtask: `subscribe` may call back before it has added the listener.
        queueMicrotask(() => this.connection.unsubscribe(listener));
        resolve(null);
      };
      this.connection.subscribe(listener);
    });
  }

  /** Wait until the server has acknowledged all this client holds. */
  async synced({ timeout = PATIENCE_MS } = {}) {
    await tick(); // 0.17 and 0.18 hand a local edit to the sync manager a tick later
    await this.node.syncManager.waitForAllCoValuesSync(timeout);
  }

  /** As `synced`, then kill process `pid` in the same tick: nothing may be in flight by then. */
  async synced_then_kill({ pid }) {
    await this.synced();
    process.kill(pid, "SIGKILL");
    this.connection.disable();
  }

  /** Wait until the value is in the client's own storage. */
  async stored({ id }) {
    await this.node.syncManager.waitForStorageSync(id);
  }

  async close() {
    this.connection?.disable();
    await this.node?.gracefulShutdown();
  }

  lose_next_content({ id }) {
    this.lost = this.wire.loseNextContent(id);
  }

  content_lost() {
    return this.lost;
  }

  frames({ about }) {
    return this.wire.log.filter((line) => line.includes(about));
  }

  // --- groups ---

  create_group({ everyone }) {
    const group = this.node.createGroup();
    if (everyone) group.addMember("everyone", everyone);
    return group.id;
  }

  async add_member({ group, account, role }) {
    const member = account === "everyone" ? account : await this.#loaded(account);
    (await this.#loaded(group)).addMember(member, role);
  }

  async remove_member({ group, account }) {
    const member = account === "everyone" ? account : await this.#loaded(account);
    await (await this.#loaded(group)).removeMember(member); // a promise in 0.15 only
  }

  async role_of({ group, account }) {
    return (await this.#loaded(group)).roleOf(account) ?? null;
  }

  async extend({ group, parent, role }) {
    (await this.#loaded(group)).extend(await this.#loaded(parent), role);
  }

  async revoke_extend({ group, parent }) {
    await (await this.#loaded(group)).revokeExtend(await this.#loaded(parent));
  }

  async create_invite({ group, role }) {
    return (await this.#loaded(group)).createInvite(role);
  }

  async accept_invite({ group, secret }) {
    await this.node.acceptInvite(group, secret);
  }

  // --- values ---

  /** Make a value of `type` in `group` (an account's own id stands for the account). */
  async create({ group, type, init, privacy }) {
    return editors.create(await this.#loaded(group), type, init, privacy);
  }

  async edit({ id, op, ...how }) {
    return editors[op](await this.#loaded(id), how);
  }

  /** Append 0, 1, 2… to a list, one every few milliseconds, connected or not. */
  async write_on({ id }) {
    const list = await this.#loaded(id);
    let next = 0;
    const timer = setInterval(() => list.append(next++), PACE_MS);
    this.stop_writing = () => {
      clearInterval(timer);
      return next;
    };
  }

  /** A snapshot of the value, or `{type: "unavailable"}` when the server has not got it. */
  async read({ id }) {
    const value = await this.node.load(id, true);
    return value === "unavailable" ? { type: "unavailable" } : snapshot(value.core);
  }

  async read_many({ ids }) {
    return Promise.all(ids.map((id) => this.read({ id })));
  }

  /** Wait until the value meets `until` (see snapshot.mjs); answers with the snapshot. */
  wait({ id, until, timeout = PATIENCE_MS }) {
    const core = this.node.getCoValue(id);
    return new Promise((resolve, reject) => {
      let seen = { type: "unavailable" };
      let due = false;
      const stops = [];
      const finish = (settle, value) => {
        clearTimeout(timer);
        for (const stop of stops) stop();
        settle(value);
      };
      const timer = setTimeout(() => {
        const last = JSON.stringify(seen).slice(0, 500);
        finish(reject, new Error(`still waiting for ${JSON.stringify(until)}; last seen: ${last}`));
      }, timeout);
      const check = () => {
        due = false;
        if (!core.isAvailable()) return;
        seen = snapshot(core);
        if (satisfies(seen, until)) finish(resolve, seen);
        else this.#watchOwner(core, stops, changed);
      };
      // Many updates may come in one turn of the event loop; one look at the end is enough.
      const changed = () => {
        if (!due) setImmediate(check);
        due = true;
      };
      stops.push(core.subscribe(changed));
      this.node.load(id).then(changed, (error) => finish(reject, error));
    });
  }

  /** Wait until `account` has `role` (null: none) in `group`, inherited roles included. */
  wait_role({ group, account, role, timeout = PATIENCE_MS }) {
    return new Promise((resolve, reject) => {
      let seen = null;
      const timer = setTimeout(
        () => reject(new Error(`${account} has role ${seen}, not ${role}`)),
        timeout,
      );
      const stop = this.node.subscribe(group, (value) => {
        seen = value === "unavailable" ? value : (value.roleOf(account) ?? null);
        if (seen !== role) return;
        clearTimeout(timer);
        setImmediate(() => stop());
        resolve(role);
      });
    });
  }

  // A value's private parts may become readable by a change of its group alone; not every release
  // tells the value's own subscribers about that.
  #watchOwner(core, stops, changed) {
    const { ruleset } = core.verified.header;
    if (stops.length > 1 || ruleset.type !== "ownedByGroup") return;
    stops.push(this.node.getCoValue(ruleset.group).subscribe(changed, false));
  }

  // --- branches (0.18), deletion (0.20), reconciliation (0.20.19) ---

  async branch({ id, name }) {
    const branch = await this.node.checkoutBranch(id, name);
    if (branch === "unavailable") throw new Error(`cannot check out ${name} of ${id}`);
    return branch.id;
  }

  async merge({ branch }) {
    (await this.#loaded(branch)).core.mergeBranch();
  }

  async delete({ id }) {
    (await this.#loaded(id)).core.deleteCoValue();
  }

  /** The same message from somebody whose client does not check the role first. */
  async delete_anyway({ id }) {
    (await this.#loaded(id)).core.makeTransaction([], "trusting", { deleted: id });
  }

  /** Compare all of the storage with the server; resolves when every batch was acknowledged. */
  reconcile() {
    const { syncManager } = this.node;
    const [peer] = Object.values(syncManager.peers);
    return new Promise((resolve) => {
      syncManager.startStorageReconciliation(peer, 0, () => resolve(null));
    });
  }

  // --- material for raw frames ---

  /** The content messages that hold all this client has of a value. */
  async content_of({ id }) {
    const { core } = await this.#loaded(id);
    return (core.newContentSince ? core : core.verified).newContentSince(undefined);
  }

  async #loaded(id) {
    const value = await this.node.load(id);
    if (value === "unavailable") throw new Error(`${id} is unavailable`);
    return value;
  }
}

async function openStorage({ driver, file }) {
  const { default: Database } = await import(driver);
  const { getSqliteStorage } = await load(SQLITE_STORAGE);
  const db = new Database(file);
  return getSqliteStorage({
    run: (sql, params) => void db.prepare(sql).run(params),
    get: (sql, params) => db.prepare(sql).get(params),
    query: (sql, params) => db.prepare(sql).all(params),
    transaction: (callback) => db.transaction(callback)(),
    closeDb: () => db.close(),
  });
}
