import { runAsWorker } from "../../src/machine/run-as-worker.ts";
import { StartError } from "../../src/machine/start-error.ts";

/** How a start or an end goes wrong. */
export type Oddity =
  | "none"
  | "refused"
  | "start throws"
  | "close throws"
  | "fails while closing"
  | "dies while closing";
export type OddOrder = "repeat" | "fail" | "throw" | "end" | "ignore";

await runAsWorker((oddity: Oddity, owner) => {
  if (oddity === "refused") {
    throw new StartError("mend this");
  }
  if (oddity === "start throws") {
    throw Object.assign(new TypeError("a bug"), { code: "EBUG" });
  }
  owner.log.info({ oddity }, "started");
  return {
    ready: { oddity },
    perform(order: OddOrder) {
      if (order === "fail") {
        owner.fail(Object.assign(new Error("the disk"), { code: "EIO" }));
      } else if (order === "throw") {
        throw new TypeError("a bug");
      } else if (order === "end") {
        process.exit(3);
      }
      return order;
    },
    async close() {
      owner.log.info({}, "closing");
      if (oddity === "close throws") {
        throw new Error("the file is gone");
      }
      if (oddity === "fails while closing") {
        owner.fail(new Error("the disk"));
        await new Promise(() => {});
      }
      if (oddity === "dies while closing") {
        process.exit(4);
      }
    },
  };
});
