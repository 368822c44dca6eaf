import { readdirSync, readFileSync } from "node:fs";
import { platform } from "node:os";
import { expect, it } from "vitest";
import { openStore, temporaryDataDirectory } from "./store-rig.ts";

/** The niceness of each thread of this process: field 19 of its stat (proc_pid_stat(5)). */
function niceness(): readonly number[] {
  const threads = readdirSync("/proc/self/task");
  return threads.map((id) => {
    const stat = readFileSync(`/proc/self/task/${id}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
  });
}

it("the writer lets the threads go first that decide, and they stay as they are", async (context) => {
  if (platform() !== "linux") {
    context.skip("only Linux has a priority for each thread");
  }
  const before = Math.max(...niceness());
  const store = await openStore(temporaryDataDirectory());
  const after = niceness();
  expect(after.filter((nice) => nice > before)).toEqual([5]);
  await store[Symbol.asyncDispose]();
});
