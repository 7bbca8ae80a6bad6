// What a worker of ../driver/worker.mjs cannot do with a note yet.
import { setImmediate as tick } from "node:timers/promises";

import { Worker } from "../driver/worker.mjs";

const PATIENCE_MS = 20_000;

export class NoteTaker extends Worker {
  /** Use this release's schemas. */
  learn(tools) {
    const { co, z } = tools;
    this.tools = tools;
    this.Tags = co.list(z.string());
    this.Note = co.map({ text: z.string(), tags: this.Tags });
  }

  /** Change the note without waiting for a server. */
  async edit_offline({ id, text, tag }) {
    const note = await this.Note.load(id, { loadAs: this.me, resolve: { tags: true } });
    note.$jazz.set("text", text);
    note.tags.$jazz.push(tag);
    await tick(); // into the client's own sync manager
  }

  /** Wait until the note has exactly these tags, in any order. */
  wait_tags({ id, tags }) {
    const wanted = JSON.stringify([...tags].sort());
    return new Promise((resolve, reject) => {
      let seen = null;
      const timer = setTimeout(
        () => reject(new Error(`waiting for ${wanted}; last: ${seen}`)),
        PATIENCE_MS,
      );
      const stop = this.Note.subscribe(id, { loadAs: this.me, resolve: { tags: true } }, (note) => {
        seen = JSON.stringify([...note.tags].sort());
        if (seen !== wanted) return;
        clearTimeout(timer);
        setImmediate(() => stop());
        resolve(null);
      });
    });
  }
}
