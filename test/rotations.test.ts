import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ChangeAction } from "#gen/casapay/token/v1/token_service_pb.ts";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { digestKey, holdsKey } from "../src/authority/key.ts";
import { RestRig } from "./rest/rest-rig.ts";
import { everyDoor } from "./support/every-door.ts";
import { TestServer } from "./support/test-server.ts";

const hour = { seconds: 3600n };
const cut = { case: "cutOldNow", value: true } as const;
const cancel = { case: "cancel", value: true } as const;

const retired = [
  ...["refusal key_retired", "refusal key_retired"],
  ...["401 key_retired", "401 key_retired", "401 key_retired"],
];
const accepted = Array<string>(5).fill("accepted");

async function refusalOf(call: Promise<unknown>): Promise<readonly unknown[]> {
  try {
    await call;
    return ["ok"];
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    const [{ reason, metadata } = { reason: null, metadata: {} }] = error.findDetails(ErrorInfoSchema);
    return [Code[error.code], reason, ...Object.values(metadata)];
  }
}

describe("with two threads and the REST API", () => {
  it("no door accepts the key that EndRotation has ended, from the answer on, and each accepts the other", {
    timeout: 180_000,
  }, async () => {
    await using authority = await RestRig.start({ TOKEN_AUTHORITY_THREADS: "2" });
    const doors = everyDoor(authority);
    // Each asks on a new connection, which the system gives to either thread.
    const askAll = async (key: string) => await Promise.all([...doors, ...doors].map((ask) => ask(key)));
    const expected = [accepted, accepted, retired, accepted].map((five) => [...five, ...five]);
    for (let round = 0; round < 50; round += 1) {
      authority.goOnWithAnotherAccount();
      const { key: oldKey, id } = await authority.issue();
      const { key: newKey } = await authority.tokens.rotateKey({ id, overlap: hour });
      const before = [await askAll(oldKey), await askAll(newKey)];
      const isCut = round % 2 === 0;
      await authority.tokens.endRotation({ id, what: isCut ? cut : cancel });
      const after = [await askAll(isCut ? oldKey : newKey), await askAll(isCut ? newKey : oldKey)];
      expect([...before, ...after], `round ${round}`).toEqual(expected);
    }
  });
});

describe("a rotation over the RPCs", () => {
  it("has a new key that is good at once beside the old one, of which Authenticate says when it ends", async () => {
    await using authority = await TestServer.start();
    const { key: oldKey, id } = await authority.issue({ expireTime: authority.inSeconds(7200) });
    const { key, token, revision } = await authority.tokens.rotateKey({ id, overlap: hour });
    expect(key).toMatch(/^sk_test_[0-9A-Za-z]{38}$/);
    expect(key).not.toBe(oldKey);
    const endsAt = authority.inSeconds(3600);
    expect(token?.keyHint).toBe(key.slice(-4));
    expect(token?.keys.map(({ hint, endTime }) => [hint, endTime])).toEqual([
      [key.slice(-4), undefined],
      [oldKey.slice(-4), endsAt],
    ]);
    const expireTimeOf = async (asked: string) => {
      const { outcome } = await authority.tokens.authenticate({ key: asked });
      return outcome.case === "principal" ? outcome.value.expireTime : null;
    };
    // Twice: the second answer is prepared.
    for (const _ of [1, 2, 3]) {
      expect(await expireTimeOf(oldKey)).toEqual(endsAt);
      expect(await expireTimeOf(key)).toEqual(authority.inSeconds(7200));
    }
    authority.clock.nowMs += 3_599_999;
    expect(await authority.verdictOf(oldKey)).toBe("principal");
    authority.clock.nowMs += 1;
    expect(await authority.verdictOf(oldKey)).toBe("KEY_RETIRED");
    expect(await authority.verdictOf(key)).toBe("principal");
    for (const found of [oldKey, key]) {
      const answer = await authority.tokens.findByDigest({ digest: digestKey(found) });
      expect(answer.token?.id).toBe(id);
    }
    const { changes } = await authority.tokens.listChanges({ tokenId: id, pageSize: 1 });
    expect(changes).toMatchObject([{ action: ChangeAction.ROTATE_KEY, revision }]);
    const { tokens } = await authority.tokens.list({ keyHint: oldKey.slice(-4) });
    expect(tokens.map((one) => one.id)).toEqual([id]);
  });

  it("is told in the log with the digests of the keys that end, and never with a key", async () => {
    await using authority = await TestServer.start();
    const { key, id } = await authority.issue();
    const { revision } = await authority.tokens.rotateKey({ id, overlap: hour });
    const lines = authority.logged.filter(({ message }) => message === "changed").map(({ fields }) => fields);
    expect(lines.at(-1)).toMatchObject({
      ...{ action: "rotate_key", token_id: id, caller: "local", revision: Number(revision) },
      head: expect.stringMatching(/^[0-9a-f]{64}$/),
      ends: [{ digest: Buffer.from(digestKey(key)).toString("hex"), ends_at: authority.clock.nowMs + 3_600_000 }],
    });
    expect(holdsKey(JSON.stringify(authority.logged))).toBe(false);
  });

  it("is answered again with the same key by its request id, and not once that key has ended or is revoked", async () => {
    await using authority = await RestRig.start();
    const { id } = await authority.issue();
    const request = { id, requestId: randomUUID() };
    const first = await authority.tokens.rotateKey(request);
    expect(await authority.tokens.rotateKey(request)).toMatchObject({ key: first.key, revision: first.revision });
    expect(await refusalOf(authority.tokens.rotateKey({ ...request, overlap: hour }))).toEqual([
      ...["AlreadyExists", "REQUEST_ID_REUSED", "request_id"],
    ]);
    await authority.tokens.rotateKey({ id, requestId: randomUUID() });
    expect(await authority.tokens.rotateKey(request)).toMatchObject({ key: "", revision: first.revision });
    const other = { id: (await authority.issue()).id, requestId: randomUUID() };
    await authority.tokens.rotateKey(other);
    await authority.tokens.revoke({ id: other.id });
    expect(await authority.tokens.rotateKey(other)).toMatchObject({ key: "" });
  });

  it("is refused by field and rule, and by the state of the token", async () => {
    await using authority = await TestServer.start();
    const { id } = await authority.issue();
    const { tokens } = authority;
    const invalid = (field: string) => ["InvalidArgument", "FIELD_INVALID", field];
    const nobody = `tok_${"0".repeat(24)}`;
    expect(await refusalOf(tokens.rotateKey({ id: "?", overlap: hour }))).toEqual(invalid("id"));
    expect(await refusalOf(tokens.rotateKey({ id, overlap: { seconds: 604_801n } }))).toEqual(invalid("overlap"));
    expect(await refusalOf(tokens.rotateKey({ id, overlap: { seconds: -1n } }))).toEqual(invalid("overlap"));
    expect(await refusalOf(tokens.rotateKey({ id, overlap: { nanos: -1 } }))).toEqual(invalid("overlap"));
    for (const nanos of [-1, 1_000_000_000]) {
      expect(await refusalOf(tokens.rotateKey({ id, overlap: { seconds: 60n, nanos } }))).toEqual(invalid("overlap"));
    }
    expect(await refusalOf(tokens.rotateKey({ id, overlap: hour, requestId: "?" }))).toEqual(invalid("request_id"));
    // A lost answer would leave nobody with a key.
    expect(await refusalOf(tokens.rotateKey({ id }))).toEqual(invalid("request_id"));
    expect(await refusalOf(tokens.rotateKey({ id, overlap: { nanos: 999_999 } }))).toEqual(invalid("request_id"));
    expect(await refusalOf(tokens.rotateKey({ id: nobody, overlap: hour }))).toEqual([
      ...["NotFound", "TOKEN_NOT_FOUND", "id"],
    ]);
    expect(await refusalOf(tokens.endRotation({ id }))).toEqual(invalid("what"));
    for (const what of [{ case: "cutOldNow", value: false } as const, { case: "cancel", value: false } as const]) {
      const field = what.case === "cancel" ? "cancel" : "cut_old_now";
      expect(await refusalOf(tokens.endRotation({ id, what }))).toEqual(invalid(field));
    }
    expect(await refusalOf(tokens.endRotation({ id, what: cut }))).toEqual([
      ...["FailedPrecondition", "ROTATION_NOT_UNDER_WAY"],
    ]);
    await tokens.rotateKey({ id, overlap: hour });
    for (const seconds of [-1, 604_801]) {
      const moved = tokens.endRotation({ id, what: { case: "moveEnd", value: authority.inSeconds(seconds) } });
      expect(await refusalOf(moved)).toEqual(invalid("move_end"));
    }
    await tokens.revoke({ id });
    const notActive = ["FailedPrecondition", "TOKEN_NOT_ACTIVE"];
    expect(await refusalOf(tokens.rotateKey({ id, overlap: hour }))).toEqual(notActive);
    expect(await refusalOf(tokens.endRotation({ id, what: cut }))).toEqual(notActive);
    await tokens.closeAccount({ account: "acct_1" });
    expect(await refusalOf(tokens.rotateKey({ id, overlap: hour }))).toEqual([
      ...["FailedPrecondition", "ACCOUNT_CLOSED", "account"],
    ]);
  });

  it("moves the old key's end, and shows the last use of each key, by which a person sees who still uses it", async () => {
    await using authority = await TestServer.start();
    const { key: oldKey, id } = await authority.issue();
    const { key } = await authority.tokens.rotateKey({ id, overlap: hour });
    expect(await authority.verdictOf(oldKey)).toBe("principal");
    const endTime = authority.inSeconds(7200);
    const moved = await authority.tokens.endRotation({ id, what: { case: "moveEnd", value: endTime } });
    expect(moved.token?.keys.map((one) => [one.hint, one.endTime])).toEqual([
      [key.slice(-4), undefined],
      [oldKey.slice(-4), endTime],
    ]);
    // Disposed, the server has written what was used.
    await authority.stop();
    await authority.start();
    const { token } = await authority.tokens.get({ id });
    expect(token?.keys.map(({ lastUseTime }) => lastUseTime !== undefined)).toEqual([false, true]);
    expect(token?.lastUseTime).toEqual(token?.keys[1]?.lastUseTime);
  });

  it("of a token that an account may hold for long shows ten keys at the most, those that live first", async () => {
    await using authority = await TestServer.start();
    const { key: first, id } = await authority.issue();
    let last = "";
    for (let round = 0; round < 12; round += 1) {
      // Never used: each replaces the one before, and the first lives on.
      last = (await authority.tokens.rotateKey({ id, overlap: hour })).key;
    }
    const { token } = await authority.tokens.get({ id });
    expect(token?.keys).toHaveLength(10);
    expect(token?.keys.slice(0, 2).map(({ hint }) => hint)).toEqual([last.slice(-4), first.slice(-4)]);
    expect(await authority.verdictOf(first)).toBe("principal");
  });
});
