// How a client makes and changes values of each kind, through cojson's own calls.
import { createHash } from "node:crypto";

const CHUNK = 100 * 1024;

/** The same bytes for the same size: a file both sides can recognise by its hash. */
function patternOf(size) {
  const bytes = new Uint8Array(size);
  let state = 1;
  for (let i = 0; i < size; i++) {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    bytes[i] = state >> 16;
  }
  return bytes;
}

const makers = {
  map: (group, init, privacy) => group.createMap(init ?? {}, null, privacy),
  list: (group, init, privacy) => group.createList(init ?? [], null, privacy),
  text: (group, init, privacy) => group.createPlainText(init ?? "", null, privacy),
  feed: (group) => group.createStream(),
  file: (group) => group.createBinaryStream(),
};

export const editors = {
  /** Make a value of `type`; answers with its id. */
  create(group, type, init, privacy = "private") {
    const value = makers[type](group, init, privacy);
    if (type === "feed") for (const item of init ?? []) value.push(item, privacy);
    return value.id;
  },

  set(map, { entries, privacy = "private" }) {
    for (const [key, value] of Object.entries(entries)) map.set(key, value, privacy);
  },

  unset(map, { key }) {
    map.delete(key);
  },

  /** One transaction per item; `batch` puts that many items into each instead. */
  append(list, { items, batch = 1, privacy = "private" }) {
    for (let i = 0; i < items.length; i += batch) {
      list.appendItems(items.slice(i, i + batch), undefined, privacy);
    }
  },

  /** Append `count` numbers from 0, `batch` a transaction, letting the socket breathe. */
  async append_numbers(list, { count, batch }) {
    for (let i = 0; i < count; i += batch) {
      const size = Math.min(batch, count - i);
      list.appendItems(Array.from({ length: size }, (_, n) => i + n));
      if (i % (batch * 50) === 0) await new Promise(setImmediate);
    }
  },

  prepend(list, { item }) {
    list.prepend(item);
  },

  remove(list, { at }) {
    list.delete(at);
  },

  push(feed, { item, privacy = "private" }) {
    feed.push(item, privacy);
  },

  insert(text, { at, text: added }) {
    if (at === 0) text.insertBefore(0, added);
    else text.insertAfter(at - 1, added);
  },

  erase(text, { from, to }) {
    text.deleteRange({ from, to });
  },

  /** Write a whole file of `size` pattern bytes; answers with its SHA-256. */
  write_file(stream, { size, name = "file.bin" }) {
    const bytes = patternOf(size);
    stream.startBinaryStream({
      mimeType: "application/octet-stream",
      fileName: name,
      totalSizeBytes: size,
    });
    for (let i = 0; i < size; i += CHUNK) stream.pushBinaryStreamChunk(bytes.slice(i, i + CHUNK));
    stream.endBinaryStream();
    return createHash("sha256").update(bytes).digest("hex");
  },
};
