import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { RefusalReason } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mintKey } from "../../src/authority/key.ts";
import { TestServer } from "../support/test-server.ts";
import { type Asked, check, type Door, envoyDoor, forwardAuthDoor } from "./doors.ts";

const text = readFileSync(resolve(import.meta.dirname, "../../docs/outcomes.md"), "utf8");

/** The rows of the table below a heading: cells without their marks. */
function rowsBelow(heading: string): readonly (readonly string[])[] {
  const section = text.split(/^## /m).find((one) => one.startsWith(heading)) ?? "";
  return section
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| |") && !line.startsWith("| reason |"))
    .map((line) =>
      line
        .slice(1, -1)
        .split("|")
        .map((cell) => cell.replaceAll("`", "").trim()),
    );
}

const none: Asked["words"] = [["permission", "none"]];
const refusals = rowsBelow("The key is refused").filter(([reason = ""]) => /^[A-Z_]+$/.test(reason));

it("docs/outcomes.md has every reason for a refusal, and no other", () => {
  const reasons = Object.keys(RefusalReason).filter((name) => name !== "UNSPECIFIED");
  expect(refusals.map(([reason]) => reason).toSorted()).toEqual(reasons.toSorted());
});

describe.each([envoyDoor, forwardAuthDoor])("what docs/outcomes.md says holds at the door of $name", (door: Door) => {
  let authority: TestServer;
  const requests: Record<string, { readonly key: string; readonly words: Asked["words"] }> = {};
  beforeAll(async () => {
    authority = await TestServer.start();
    const good = await authority.issue({ livemode: true });
    const expired = await authority.issue({ expireTime: authority.inSeconds(1) });
    authority.clock.nowMs += 1000;
    const revoked = await authority.issue();
    await authority.tokens.revoke({ id: revoked.id });
    const rotated = await authority.issue();
    await authority.tokens.rotateKey({ id: rotated.id, overlap: { seconds: 60n } });
    await authority.tokens.endRotation({ id: rotated.id, what: { case: "cutOldNow", value: true } });
    const publishable = await authority.issue({ type: TokenType.PUBLISHABLE });
    const held = await authority.issue();
    await authority.tokens.setHold({ subject: { case: "tokenId", value: held.id }, held: true });
    const ofHeld = await authority.issue({ account: "acct_held" });
    await authority.tokens.setHold({ subject: { case: "account", value: "acct_held" }, held: true });
    const ofClosed = await authority.issue({ account: "acct_closed" });
    await authority.tokens.closeAccount({ account: "acct_closed" });
    const restricted = await authority.issue({ type: TokenType.RESTRICTED, permissions: ["charges:read"] });
    Object.assign(requests, {
      KEY_MALFORMED: { key: "nonsense", words: none },
      KEY_UNKNOWN: { key: mintKey("secret", true), words: none },
      TOKEN_REVOKED: { key: revoked.key, words: none },
      KEY_RETIRED: { key: rotated.key, words: none },
      TOKEN_EXPIRED: { key: expired.key, words: none },
      ACCOUNT_CLOSED: { key: ofClosed.key, words: none },
      TOKEN_HELD: { key: held.key, words: none },
      ACCOUNT_HELD: { key: ofHeld.key, words: none },
      LIVEMODE_MISMATCH: { key: good.key, words: [...none, ["livemode", "false"]] },
      TYPE_NOT_ALLOWED: { key: publishable.key, words: none },
      INSUFFICIENT_PERMISSIONS: { key: restricted.key, words: [["permission", "charges:write"]] },
    });
  });
  afterAll(() => authority[Symbol.asyncDispose]());

  it.each(refusals.map(([reason = "", , , status]) => ({ reason, status })))("$reason: $status", async (row) => {
    const { key = "", words = none } = requests[row.reason] ?? {};
    const headers = { authorization: `Bearer ${key}` };
    const answer = await door.ask(authority.server.address, { words, headers });
    expect([answer.code, String(answer.status)]).toEqual([row.reason.toLowerCase(), row.status]);
  });

  it("a question that makes no sense has the code that stands there", async () => {
    const row = rowsBelow("Nothing is decided").find(([what = ""]) => what.includes("(FIELD_INVALID)")) ?? [];
    const answer = await door.ask(authority.server.address, { words: [["permission", "x"]], headers: {} });
    const told = door === envoyDoor ? answer.code : `${answer.status} ${answer.code}`;
    expect(told).toBe(row[door === envoyDoor ? 4 : 5]);
  });
});

it("a code of Check that stands there is one that Check answers", async () => {
  await using other = await TestServer.start({ TOKEN_AUTHORITY_PLAINTEXT_ROLE: "service" });
  const row = rowsBelow("Nothing is decided").find(([what = ""]) => what.includes("ROLE_NOT_ALLOWED")) ?? [];
  expect((await check(other.server.address, {})).code).toBe(row[4]);
});
