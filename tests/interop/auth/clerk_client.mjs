// A Clerk client of jazz-tools' MinimalClerkClient shape, for Node and for browsers.

/** As much of Clerk's browser client as Jazz and the helper ask for. */
export class ClerkClient {
  user = null;
  session = null;
  #listeners = new Set();

  constructor(frontend) {
    this.frontend = frontend;
  }

  /** `user` is {id, unsafeMetadata}; `sid` the session whose tokens getToken() fetches. */
  signIn({ user, sid }) {
    const update = async ({ unsafeMetadata }) => {
      this.#tell({ ...this.user, unsafeMetadata });
    };
    this.session = { getToken: () => this.#token(sid) };
    this.#tell({ ...user, update });
  }

  signOut = async () => {
    this.session = null;
    this.#tell(null);
  };

  addListener = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  async #token(sid) {
    const answer = await fetch(`${this.frontend}/sessions/${sid}/tokens`, { method: "POST" });
    return answer.ok ? (await answer.json()).jwt : null; // null: the session has ended
  }

  #tell(user) {
    this.user = user;
    for (const listener of this.#listeners) listener({ user });
  }
}
