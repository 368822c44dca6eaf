import { expect, it } from "vitest";
import { StartError } from "../../src/machine/start-error.ts";
import { startWorker } from "../../src/machine/start-worker.ts";
import type { Oddity, OddOrder } from "./odd-worker.ts";

const module = new URL("./odd-worker.ts", import.meta.url);

function start(oddity: Oddity, lines: string[] = []) {
  const note = (_fields: object, message: string) => void lines.push(message);
  const log = { info: note, warn: note, error: note };
  return startWorker<Oddity, { oddity: Oddity }, OddOrder, OddOrder>({
    ...{ module, name: "odd", data: oddity, transfer: [], log },
  });
}

it("tells of its start, answers orders in their order, and ends when it is told to, with its last line", async () => {
  const lines: string[] = [];
  const worker = await start("none", lines);
  expect(worker.ready).toEqual({ oddity: "none" });
  expect(await Promise.all([worker.order("repeat"), worker.order("ignore")])).toEqual(["repeat", "ignore"]);
  await worker[Symbol.asyncDispose]();
  expect(lines).toEqual(["started", "closing"]);
});

it("that cannot start rejects: with a StartError where a person can mend it, else with what was thrown", async () => {
  await expect(start("refused")).rejects.toBeInstanceOf(StartError);
  await expect(start("start throws")).rejects.toMatchObject({ name: "TypeError", message: "a bug", code: "EBUG" });
});

it.each([
  ["fail", { message: "the disk", code: "EIO" }],
  ["throw", { name: "TypeError", message: "a bug" }],
  ["end", { message: "the odd thread ended with code 3" }],
] as const)("says once that it failed, on %s, and answers nothing more", async (order, expected) => {
  const worker = await start("none");
  const asked = [worker.order(order), worker.order("repeat")];
  expect(await worker.failed).toMatchObject(expected);
  if (order !== "fail") {
    expect(await Promise.all(asked)).toEqual([null, null]);
  }
  expect(await worker.order("repeat")).toBeNull();
  await worker[Symbol.asyncDispose]();
});

it("answers nothing once it is ending, also what was asked before", async () => {
  const worker = await start("none");
  const asked = worker.order("repeat");
  const ended = worker[Symbol.asyncDispose]();
  expect(await Promise.all([asked, worker.order("repeat")])).toEqual([null, null]);
  await ended;
});

it.each([
  ["close throws", "the file is gone"],
  ["fails while closing", "the disk"],
  ["dies while closing", "the odd thread ended with code 4"],
] as const)("that %s has not ended in good order, and says why", async (oddity, message) => {
  const worker = await start(oddity);
  await expect(worker[Symbol.asyncDispose]()).rejects.toMatchObject({
    message: "the odd thread did not end in good order",
    cause: { message },
  });
});
