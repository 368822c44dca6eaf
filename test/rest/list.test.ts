import { randomBytes } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { mintTokenId } from "../../src/authority/key.ts";
import { openStore } from "../sqlite/store-rig.ts";
import { RestRig } from "./rest-rig.ts";

async function idsOf(rig: RestRig, key: string, query: string) {
  const { status, json } = await rig.call("GET", `/v1/tokens${query}`, { key });
  expect(status).toBe(200);
  return { ids: json.data.map(({ id }) => id), hasMore: json.has_more };
}

/** An account with a key and as many more tokens, newest first. */
async function populate(rig: RestRig, count: number) {
  const { key, id } = await rig.issue();
  const ids = [id];
  while (ids.length <= count) {
    ids.unshift((await rig.restricted(["events:read"])).id);
  }
  return { key, ids };
}

describe("a list", () => {
  it("is newest first, of the account and mode of the key, with revoked tokens in it", async () => {
    await using rig = await RestRig.start();
    const { key, ids } = await populate(rig, 2);
    await rig.issue({ account: "acct_2" });
    await rig.issue({ livemode: true });
    await rig.tokens.revoke({ id: ids[0] ?? "" });
    const { json } = await rig.call("GET", "/v1/tokens", { key });
    expect(json).toMatchObject({ object: "list", url: "/v1/tokens", has_more: false });
    expect(json.data.map(({ id, status }) => [id, status])).toEqual([
      [ids[0], "revoked"],
      [ids[1], "active"],
      [ids[2], "active"],
    ]);
  });

  it("has 10 tokens unless it is asked for 1 to 100", async () => {
    await using rig = await RestRig.start();
    const { key, ids } = await populate(rig, 10);
    expect(await idsOf(rig, key, "")).toEqual({ ids: ids.slice(0, 10), hasMore: true });
    expect(await idsOf(rig, key, "?limit=11")).toEqual({ ids, hasMore: false });
    expect(await idsOf(rig, key, "?limit=1")).toEqual({ ids: ids.slice(0, 1), hasMore: true });
    for (const limit of ["0", "101", "-1", "1.5", "ten", "", "1e1"]) {
      const { status, json } = await rig.call("GET", `/v1/tokens?limit=${limit}`, { key });
      expect([status, json.error.param]).toEqual([400, "limit"]);
    }
  });

  it("goes on after a token, and back before one, and says whether there is more that way", async () => {
    await using rig = await RestRig.start();
    const { key, ids } = await populate(rig, 6);
    expect(await idsOf(rig, key, `?limit=3&starting_after=${ids[2]}`)).toEqual({ ids: ids.slice(3, 6), hasMore: true });
    expect(await idsOf(rig, key, `?limit=3&starting_after=${ids[3]}`)).toEqual({ ids: ids.slice(4), hasMore: false });
    expect(await idsOf(rig, key, `?limit=3&starting_after=${ids[6]}`)).toEqual({ ids: [], hasMore: false });
    expect(await idsOf(rig, key, `?limit=2&ending_before=${ids[3]}`)).toEqual({ ids: ids.slice(1, 3), hasMore: true });
    expect(await idsOf(rig, key, `?limit=3&ending_before=${ids[3]}`)).toEqual({ ids: ids.slice(0, 3), hasMore: false });
    expect(await idsOf(rig, key, `?limit=3&ending_before=${ids[0]}`)).toEqual({ ids: [], hasMore: false });
  });

  it("starts at tokens that it would not show itself, but at none that the key cannot see", async () => {
    await using rig = await RestRig.start();
    const { key, ids } = await populate(rig, 3);
    expect(await idsOf(rig, key, `?type=secret&starting_after=${ids[1]}`)).toEqual({ ids: [ids[3]], hasMore: false });
    const strangers = [
      await rig.issue({ account: "acct_2" }),
      await rig.issue({ livemode: true }),
      { id: mintTokenId() },
    ];
    for (const name of ["starting_after", "ending_before"]) {
      for (const id of [...strangers.map((one) => one.id), "tok_x", ""]) {
        const { status, json } = await rig.call("GET", `/v1/tokens?${name}=${id}`, { key });
        expect([status, json.error.param]).toEqual([400, name]);
      }
    }
    const both = await rig.call("GET", `/v1/tokens?starting_after=${ids[0]}&ending_before=${ids[1]}`, { key });
    expect([both.status, both.json.error.param]).toEqual([400, "ending_before"]);
  });

  it("shows one type or one status, as it is now", async () => {
    await using rig = await RestRig.start();
    const secret = await rig.issue();
    const publishable = await rig.issue({ type: TokenType.PUBLISHABLE });
    const revoked = await rig.restricted(["events:read"]);
    await rig.tokens.revoke({ id: revoked.id });
    const expiring = await rig.restricted(["events:read"], { expireTime: rig.inSeconds(60) });
    const only = async (query: string) => (await idsOf(rig, secret.key, query)).ids;
    expect(await only("?type=publishable")).toEqual([publishable.id]);
    expect(await only("?type=restricted")).toEqual([expiring.id, revoked.id]);
    expect(await only("?status=expired")).toEqual([]);
    rig.clock.nowMs += 60_000;
    expect(await only("?status=expired")).toEqual([expiring.id]);
    expect(await only("?status=revoked&type=restricted")).toEqual([revoked.id]);
    expect(await only("?status=active")).toEqual([publishable.id, secret.id]);
  });

  it("shows what was created in a span of whole seconds", async () => {
    await using rig = await RestRig.start();
    const second = Math.floor(rig.clock.nowMs / 1000) + 10;
    const made: string[] = [];
    let key = "";
    for (const ms of [second * 1000 - 1, second * 1000, second * 1000 + 999, second * 1000 + 1000]) {
      rig.clock.nowMs = ms;
      const issued = await rig.issue();
      made.unshift(issued.id);
      key = issued.key;
    }
    const only = async (query: string) => (await idsOf(rig, key, `?${query}`)).ids;
    const [after, end, start, before] = made;
    expect(await only(`created[gte]=${second}`)).toEqual([after, end, start]);
    expect(await only(`created[gt]=${second}`)).toEqual([after]);
    expect(await only(`created[lt]=${second}`)).toEqual([before]);
    expect(await only(`created%5Blte%5D=${second}`)).toEqual([end, start, before]);
    expect(await only(`created[gte]=${second}&created[lte]=${second}`)).toEqual([end, start]);
    expect(await only(`created[gte]=${second - 5}&created[gt]=${second - 1}&created[lt]=${second + 1}`)).toEqual([
      end,
      start,
    ]);
  });

  it("shows what expires in a span of whole seconds, and nothing that never expires", async () => {
    await using rig = await RestRig.start();
    const second = Math.floor(rig.clock.nowMs / 1000) + 10;
    const made: string[] = [];
    for (const ms of [second * 1000 - 1, second * 1000, second * 1000 + 999, second * 1000 + 1000]) {
      made.unshift((await rig.issue({ expireTime: timestampFromMs(ms) })).id);
    }
    const { key } = await rig.issue();
    const only = async (query: string) => (await idsOf(rig, key, `?${query}`)).ids;
    const [after, end, start, before] = made;
    expect(await only(`expires_at[gte]=${second}`)).toEqual([after, end, start]);
    expect(await only(`expires_at[gt]=${second}`)).toEqual([after]);
    expect(await only(`expires_at[lt]=${second}`)).toEqual([before]);
    expect(await only(`expires_at[gte]=${second}&expires_at[lte]=${second}&created[gte]=1`)).toEqual([end, start]);
  });

  it("looks beyond 10,000 tokens that it does not show, and is right about whether there is more", async () => {
    await using rig = await RestRig.start();
    const oldest = await rig.issue();
    const second = await rig.issue();
    await rig.stop();
    {
      await using store = await openStore(rig.config().store.directory);
      const token = { account: "acct_1", name: "n", type: "restricted", livemode: false, keyHint: "0000" } as const;
      const created: Promise<unknown>[] = [];
      const context = { caller: "local", atMs: rig.clock.nowMs, bearerKey: null };
      for (let left = 10_001; left > 0; left -= 1) {
        const facts = { id: mintTokenId(), digest: randomBytes(32), permissions: ["events:read"], expiresAtMs: null };
        created.push(store.create({ ...token, ...facts }, null, 1_000_000, context));
        // What waits for the writer is limited.
        if (left % 1000 === 0) {
          await Promise.all(created);
        }
      }
      await Promise.all(created);
    }
    await rig.start({ TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0" });
    expect(await idsOf(rig, oldest.key, "?type=secret&limit=1")).toEqual({ ids: [second.id], hasMore: true });
    expect(await idsOf(rig, oldest.key, "?type=secret&limit=2")).toEqual({
      ids: [second.id, oldest.id],
      hasMore: false,
    });
    expect(await idsOf(rig, oldest.key, `?type=secret&ending_before=${oldest.id}`)).toEqual({
      ids: [second.id],
      hasMore: false,
    });
  });
});
