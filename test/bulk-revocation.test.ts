import { expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { ChangeAction, RefusalReason } from "#gen/casapay/token/v1/token_service_pb.ts";
import { AuthorityProcess, clientOf, temporaryDirectory } from "./support/authority-process.ts";

it("a kill between two steps leaves each token revoked or not, and the same request goes on from there", async () => {
  using directory = temporaryDirectory();
  const filter = { account: "acct_1" };
  const keys: string[] = [];
  let upToRevision = 0n;
  {
    await using first = new AuthorityProcess(directory.path);
    const tokens = clientOf(await first.address());
    for (let batch = 0; batch < 12; batch += 1) {
      const make = () => tokens.create({ account: "acct_1", name: "a key", type: TokenType.SECRET });
      keys.push(...(await Promise.all(Array.from({ length: 100 }, make))).map(({ key }) => key));
    }
    ({ upToRevision } = await tokens.revokeTokens({ filter }));
  }
  let kills = 0;
  for (let isDone = false; !isDone; ) {
    await using authority = new AuthorityProcess(directory.path);
    const tokens = clientOf(await authority.address());
    const revoking = tokens.revokeTokens({ filter, force: true, upToRevision, reason: "incident 7" }).catch(() => null);
    if (kills < 3) {
      // The line of a change is there: some steps were made, and most were not.
      await authority.logged(/"action":"revoke"/);
      authority.child.kill("SIGKILL");
      await authority.ended();
      kills += 1;
    }
    isDone = (await revoking)?.done === true;
  }
  await using last = new AuthorityProcess(directory.path);
  const tokens = clientOf(await last.address());
  const verdicts = await Promise.all(keys.map((key) => tokens.authenticate({ key })));
  const reasons = verdicts.map(({ outcome }) => (outcome.case === "refusal" ? outcome.value.reason : null));
  expect(new Set(reasons)).toEqual(new Set([RefusalReason.TOKEN_REVOKED]));
  const revoked: string[] = [];
  for (let after = 0n; ; ) {
    const page = await tokens.listChanges({
      action: ChangeAction.REVOKE,
      oldestFirst: true,
      afterRevision: after,
      pageSize: 1000,
    });
    revoked.push(...page.changes.map(({ tokenId, reason }) => `${tokenId} ${reason}`));
    after = page.reachedRevision;
    if (page.nextPageToken === "") {
      break;
    }
  }
  expect(revoked).toHaveLength(keys.length);
  expect(new Set(revoked).size).toBe(keys.length);
  await using verify = new AuthorityProcess(directory.path, ["verify-journal", "data"]);
  expect(await verify.ended()).toBe(0);
}, 120_000);
