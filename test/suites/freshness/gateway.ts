// A gateway with the client for TypeScript, for the driver: node gateway.ts SOCKET AUTHORITY CACHE_MIB
//
// A line of the driver is a number and a key. The answer is the number, what the key was found to be (accept, refuse,
// unknown, undecided), and who decided (authority, cache).
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { type Authority, connect, type Decision } from "../../../clients/typescript/src/index.ts";

const [socketPath = "", address = "", cacheMib = "0"] = process.argv.slice(2);
const maxMiB = Number(cacheMib);
const authority = connect(address, { security: "plaintext", ...(maxMiB === 0 ? {} : { cache: { maxMiB } }) });

createServer((socket) => {
  socket.on("error", () => undefined);
  createInterface({ input: socket }).on("line", async (line) => {
    const [id = "", key = ""] = line.split(" ");
    socket.write(`${id} ${await answerTo(authority, key)}\n`);
  });
}).listen(socketPath, () => console.log("ready"));

async function answerTo(authority: Authority, key: string): Promise<string> {
  try {
    const decision = await authority.authenticate(key);
    return `${verdictOf(decision)} ${decision.source}`;
  } catch {
    return "undecided authority";
  }
}

function verdictOf(decision: Decision): string {
  if (decision.kind === "principal") {
    return "accept";
  }
  return decision.reason === "KEY_UNKNOWN" || decision.reason === "KEY_MALFORMED" ? "unknown" : "refuse";
}
