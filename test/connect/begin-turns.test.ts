import { expect, it } from "vitest";
import { createBeginTurns } from "../../src/doors/rpc/lanes/begin-turns.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

it("lets so many begin in a turn of the event loop, and the rest in the next ones, in order", async () => {
  const beginTurn = createBeginTurns(3);
  const begun: number[] = [];
  const all = Array.from({ length: 10 }, async (_, index) => {
    const wait = beginTurn();
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
  const beginTurn = createBeginTurns(1);
  expect(beginTurn()).toBeNull();
  const second = beginTurn();
  await turn();
  await second;
  expect(beginTurn()).not.toBeNull();
  await turn();
  await turn();
  expect(beginTurn()).toBeNull();
});
