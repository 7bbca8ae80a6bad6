// What a client can see of a value right now, as plain JSON, and tests on it.
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

/** `{type, value}` of an available core; a deleted value has type "deleted". */
export function snapshot(core) {
  if (core.isDeleted) return { type: "deleted", value: null };
  const content = core.getCurrentContent();
  const { header } = core.verified;
  if (header.type === "costream") {
    return header.meta?.type === "binary"
      ? { type: "file", value: fileOf(content) }
      : { type: "feed", value: feedOf(content) };
  }
  if (header.type === "coplaintext") return { type: "text", value: content.toString() };
  if (header.type === "colist") return { type: "list", value: content.asArray() };
  if (header.ruleset.type === "group") return { type: "group", value: membersOf(content) };
  return { type: "map", value: content.toJSON() };
}

function fileOf(stream) {
  const file = stream.getBinaryChunks(true);
  if (!file) return null;
  const hash = createHash("sha256");
  let size = 0;
  for (const chunk of file.chunks) {
    hash.update(chunk);
    size += chunk.length;
  }
  const { mimeType, fileName, finished } = file;
  return { mimeType, fileName, finished: Boolean(finished), size, sha256: hash.digest("hex") };
}

function feedOf(stream) {
  const byAuthor = {};
  for (const session of Object.keys(stream.items).sort()) {
    const author = session.split("_session")[0];
    (byAuthor[author] ??= []).push(...stream.items[session].map((item) => item.value));
  }
  return byAuthor;
}

function membersOf(group) {
  const isMember = (key) => key === "everyone" || key.startsWith("co_");
  return Object.fromEntries(group.keys().filter(isMember).map((key) => [key, group.get(key)]));
}

const conditions = {
  equals: (seen, wanted) => isDeepStrictEqual(seen.value, wanted),
  includes: (seen, wanted) =>
    seen.value !== null &&
    Object.entries(wanted).every(([key, value]) => isDeepStrictEqual(seen.value[key], value)),
  length: (seen, wanted) => seen.value?.length === wanted,
  longer: (seen, wanted) => seen.value?.length > wanted,
  finished: (seen, wanted) => seen.value?.finished === wanted,
  type: (seen, wanted) => seen.type === wanted,
};

/** Whether `seen` meets every condition of `until`, e.g. `{includes: {a: 1}}`. */
export function satisfies(seen, until) {
  return Object.entries(until).every(([name, wanted]) => conditions[name](seen, wanted));
}
