import { expect, it } from "vitest";
import { createTurns } from "../../src/machine/turns.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

it("lets so many begin in a turn of the event loop, and the rest in the next ones, in order", async () => {
  const turns = createTurns(3);
  const begun: number[] = [];
  const all = Array.from({ length: 10 }, async (_, index) => {
    const wait = turns.begin();
    if (wait !== null) {
      await wait;
    }
    begun.push(index);
  });
  expect(begun).toEqual([0, 1, 2]);
  await turn();
  expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
  await turn();
  expect(begun).toHaveLength(9);
  await Promise.all(all);
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

it("nobody who asks later goes before those who wait", async () => {
  const turns = createTurns(1);
  expect(turns.begin()).toBeNull();
  const second = turns.begin();
  await turn();
  await second;
  expect(turns.begin()).not.toBeNull();
  await turn();
  await turn();
  expect(turns.begin()).toBeNull();
});

it("gives whoever asks for the next turn one that has not begun, behind those who wait", async () => {
  const turns = createTurns(1);
  const begun: string[] = [];
  void turns.next().then(() => begun.push("first"));
  void turns.begin()?.then(() => begun.push("second"));
  await Promise.resolve();
  expect(begun).toEqual([]);
  await turn();
  expect(begun).toEqual(["first"]);
  await turn();
  expect(begun).toEqual(["first", "second"]);
});
