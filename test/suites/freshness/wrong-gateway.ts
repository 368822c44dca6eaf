// A gateway as many are: it keeps each answer for ten seconds, and asks nobody. The checker must find it.
//
// node wrong-gateway.ts SOCKET AUTHORITY CACHE_MIB, as gateway.ts
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { connect } from "../../../clients/typescript/src/index.ts";

const lifetimeMs = 10_000;
const [socketPath = "", address = ""] = process.argv.slice(2);
const authority = connect(address, { security: "plaintext" });
const kept = new Map<string, { readonly verdict: string; readonly atMs: number }>();

createServer((socket) => {
  socket.on("error", () => undefined);
  createInterface({ input: socket }).on("line", async (line) => {
    const [id = "", key = ""] = line.split(" ");
    const entry = kept.get(key);
    if (entry !== undefined && performance.now() - entry.atMs < lifetimeMs) {
      socket.write(`${id} ${entry.verdict} cache\n`);
      return;
    }
    try {
      const verdict = (await authority.authenticate(key)).kind === "principal" ? "accept" : "refuse";
      kept.set(key, { verdict, atMs: performance.now() });
      socket.write(`${id} ${verdict} authority\n`);
    } catch {
      socket.write(`${id} undecided authority\n`);
    }
  });
}).listen(socketPath, () => console.log("ready"));
