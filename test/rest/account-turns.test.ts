import { expect, it } from "vitest";
import { createAccountTurns } from "../../src/doors/rest/account-turns.ts";

it("one account's work is done one after the other, also after a failure; another's does not wait for it", async () => {
  const inTurn = createAccountTurns();
  const begun: string[] = [];
  const gate = Promise.withResolvers<void>();
  const work = (name: string, until: Promise<void>) => async () => {
    begun.push(name);
    await until;
    return name;
  };
  const first = inTurn("acct_1", work("first", gate.promise));
  const second = inTurn("acct_1", work("second", Promise.resolve()));
  expect(await inTurn("acct_2", work("another's", Promise.resolve()))).toBe("another's");
  expect(begun).toEqual(["first", "another's"]);

  gate.reject(new Error("it failed"));
  await expect(first).rejects.toThrow("it failed");
  expect(await second).toBe("second");
  expect(await inTurn("acct_1", work("third", Promise.resolve()))).toBe("third");
});
