// Two users, one song: what Alice changes shows up at Bob's. Run: node example.mjs ws://127.0.0.1:4200
import { createWebSocketPeer } from "cojson-transport-ws";
import { WasmCrypto } from "cojson/crypto/WasmCrypto";
import { Group, MockSessionProvider, co, createJazzContextForNewAccount, z } from "jazz-tools";
import WebSocket from "ws";

const Song = co.map({ title: z.string() });

async function signUp(name) {
  const websocket = new WebSocket(process.argv[2]);
  const peers = [createWebSocketPeer({ id: "bandstand", role: "server", websocket })];
  const [crypto, sessionProvider] = [await WasmCrypto.create(), new MockSessionProvider()];
  const creationProps = { name };
  return createJazzContextForNewAccount({ creationProps, peers, crypto, sessionProvider });
}
const { account: alice } = await signUp("Alice");
const { account: bob } = await signUp("Bob");

const group = Group.create({ owner: alice });
group.addMember("everyone", "reader");
const song = Song.create({ title: "So What" }, { owner: group });
await song.$jazz.waitForSync();

Song.subscribe(song.$jazz.id, { loadAs: bob }, ({ title }) => {
  console.log("Bob reads:", title);
  if (title === "So What") song.$jazz.set("title", "Play So What, louder!");
  else process.exit();
});
