// ADDRESS KEYFILE SNAPSHOT: decides on the key in the file from memory, lets go of it, and writes down its heap.
import { readFileSync } from "node:fs";
import { writeHeapSnapshot } from "node:v8";
import { connect } from "../../src/index.ts";

const [address = "", keyFile = "", snapshot = ""] = process.argv.slice(2);
const authority = connect(address, { security: "plaintext", cache: { maxMiB: 8 } });

/** From which source the decision came. */
async function ask(): Promise<string> {
  const decision = await authority.authenticate(readFileSync(keyFile, "latin1"), {
    requiredPermissions: ["charges:read"],
  });
  return `${decision.kind} ${decision.source}`;
}

let said = "";
while (said !== "principal cache") {
  await new Promise((resolve) => setTimeout(resolve, 20));
  said = await ask();
}
globalThis.gc?.();
// Takes seconds on a busy machine: what is decided after it may have no lease.
writeHeapSnapshot(snapshot);
console.log(said);
authority.close();
