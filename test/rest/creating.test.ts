import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { createAccountRate } from "../../src/doors/rest/account-rate.ts";
import { type RestAnswer, RestRig } from "./rest-rig.ts";

const body = { name: "a key", permissions: ["events:read"] };

function create(rig: RestRig, key: string, idempotencyKey: string | null, facts: object = {}): Promise<RestAnswer> {
  const header = idempotencyKey === null ? {} : { "idempotency-key": idempotencyKey };
  return rig.call("POST", "/v1/tokens", { key, header, body: { ...body, ...facts } });
}

describe("an Idempotency-Key", () => {
  it("answers the same token and key again, and creates nothing", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const first = await create(rig, key, "till 7, attempt ~1");
    rig.clock.nowMs += 24 * 60 * 60 * 1000 - 1;
    const again = await create(rig, key, "till 7, attempt ~1", { type: "restricted", expires_at: null });
    expect([again.status, again.json.id, again.json.key]).toEqual([200, first.json.id, first.json.key]);
    expect((await rig.call("GET", "/v1/tokens", { key })).json.data).toHaveLength(2);
    rig.clock.nowMs += 1;
    expect((await create(rig, key, "till 7, attempt ~1")).json.id).not.toBe(first.json.id);
  });

  it("makes one token of many requests at once", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const answers = await Promise.all(Array.from({ length: 20 }, () => create(rig, key, "once")));
    expect(new Set(answers.map(({ json }) => json.key)).size).toBe(1);
  });

  it("with another body is refused with 409, a form of the same is not", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const { json } = await create(rig, key, "one");
    const other = await create(rig, key, "one", { name: "another" });
    expect([other.status, other.json.error.code, other.json.error.param]).toEqual([
      409,
      "idempotency_key_reused",
      "Idempotency-Key",
    ]);
    const form = await rig.call("POST", "/v1/tokens", {
      key,
      header: { "idempotency-key": "one", "content-type": "application/x-www-form-urlencoded" },
      body: "name=a+key&permissions[]=events:read",
    });
    expect(form.json.key).toBe(json.key);
  });

  it("is the key's own: it shows no key to another key of the account", async () => {
    await using rig = await RestRig.start();
    const strong = await rig.issue();
    const weak = await rig.restricted(["tokens:write", "events:read"]);
    const first = await create(rig, strong.key, "shared");
    const other = await create(rig, weak.key, "shared");
    expect([other.status, other.json.id === first.json.id]).toEqual([200, false]);
  });

  it("answers no key any more once the token is revoked", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const { json } = await create(rig, key, "one");
    await rig.call("POST", `/v1/tokens/${json.id}/revoke`, { key });
    expect((await create(rig, key, "one")).json).toMatchObject({ id: json.id, key: null, status: "revoked" });
  });

  it("is 1 to 255 printable ASCII characters", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    expect((await create(rig, key, "~".repeat(255))).status).toBe(200);
    // Among them what a variable holds that nobody has set.
    const unset = ["00000000-0000-0000-0000-000000000000", "FFFFFFFF-ffff-ffff-ffff-ffffffffffff"];
    for (const wrong of ["", "~".repeat(256), "a\u00fc", "a\tb", ...unset]) {
      const { status, json } = await create(rig, key, wrong);
      expect([status, json.error.param]).toEqual([400, "Idempotency-Key"]);
    }
  });

  it("is refused where there is no sealing secret, and after another took its place", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    await create(rig, key, "one");
    await rig.stop();
    // Where the name of a secret beside the data would be too long for any file.
    const elsewhere = join(rig.directory, "d".repeat(255 - ".marker".length));
    await rig.start({ TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0", TOKEN_AUTHORITY_DATA_DIR: elsewhere });
    const other = await rig.issue();
    expect((await create(rig, other.key, "one")).json.error).toMatchObject({ code: "idempotency_unsupported" });
    expect((await create(rig, other.key, null)).status).toBe(200);

    await rig.stop();
    const file = join(rig.directory, "another-secret");
    writeFileSync(file, randomBytes(32), { mode: 0o600 });
    await rig.start({ TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0", TOKEN_AUTHORITY_SEALING_SECRET: file });
    const { status, json } = await create(rig, key, "one");
    expect([status, json.error.code]).toEqual([409, "idempotency_key_unreadable"]);
  });
});

/**
 * Sends as fast as it goes, without a look at each answer: a slow flood is none, so that on a busy machine it takes
 * several.
 */
async function floodUntilRefused(flood: () => readonly Promise<Response>[]) {
  const startedAtMs = performance.now();
  const many: Response[] = [];
  do {
    many.push(...(await Promise.all(flood())));
  } while (many.every(({ status }) => status !== 429));
  return { many, seconds: (performance.now() - startedAtMs) / 1000 };
}

describe("creations of an account", () => {
  it("are 25 a second, whichever of its keys asks; those of others are not touched", async () => {
    await using rig = await RestRig.start();
    const keys = [await rig.issue(), await rig.restricted(["tokens:write", "events:read"])].map(({ key }) => key);
    const { key: other } = await rig.issue({ account: "acct_2" });
    const { many, seconds } = await floodUntilRefused(() =>
      Array.from({ length: 120 }, (_, at) =>
        fetch(`http://${rig.server.restAddress}/v1/tokens`, {
          method: "POST",
          headers: { authorization: `Bearer ${keys[at % 2]}`, "content-type": "application/json" },
          body: JSON.stringify(body),
        }),
      ),
    );
    const accepted = many.filter(({ status }) => status === 200).length;
    expect(accepted).toBeGreaterThanOrEqual(25);
    expect(accepted).toBeLessThanOrEqual(25 + Math.ceil(25 * seconds));
    const refused = many.find(({ status }) => status === 429);
    expect(refused?.headers.get("retry-after")).toBe("1");
    expect(await refused?.json()).toMatchObject({ error: { type: "rate_limit_error", code: "rate_limited" } });
    expect((await create(rig, other, null)).status).toBe(200);
    expect((await rig.call("GET", "/v1/tokens", { key: keys[0] ?? "" })).status).toBe(200);
    await expect.poll(async () => (await create(rig, keys[0] ?? "", null)).status).toBe(200);
  });

  it("go on after the clock was an hour ahead for one request", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    rig.clock.nowMs += 3_600_000;
    expect((await create(rig, key, null)).status).toBe(200);
    rig.clock.nowMs -= 3_600_000;
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(Array.from({ length: 25 }, () => create(rig, key, null)));
      await expect.poll(async () => (await create(rig, key, null)).status).toBe(200);
    }
  });

  it("may come at an even pace after the first 25", () => {
    let nowMs = 1_700_000_000_000;
    const rate = createAccountRate(25, () => nowMs);
    const accepted = () => [1, 2].filter(() => rate("acct_1") === 0).length;
    expect(Array.from({ length: 20 }, accepted).reduce((sum, count) => sum + count)).toBe(25);
    for (let round = 0; round < 100; round += 1) {
      nowMs += 40;
      expect(accepted()).toBe(1);
    }
    expect(rate("acct_2")).toBe(0);
  });

  it("wait for room on a disk that is nearly full, while keys are revoked", async () => {
    await using rig = await RestRig.start();
    const [{ key }, other] = [await rig.issue(), await rig.issue()];
    await rig.stop();
    await rig.start({ TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0", TOKEN_AUTHORITY_MIN_FREE_MIB: "1048576" });
    const { status, json } = await create(rig, key, null);
    expect([status, json.error.type, json.error.code]).toEqual([503, "api_error", "storage_low"]);
    expect(await rig.codeOf("POST", `/v1/tokens/${other.id}/revoke`, { key })).toBe("200 ok");
  });

  it("must expire as soon as the limit says, which names expires_at", async () => {
    await using rig = await RestRig.start({ TOKEN_AUTHORITY_MAX_LIFETIME_DAYS: "30" });
    const expireTime = timestampFromMs(rig.clock.nowMs + 30 * 24 * 60 * 60 * 1000);
    const { key } = await rig.issue({ livemode: true, expireTime });
    const { status, json } = await create(rig, key, null);
    expect([status, json.error.code, json.error.param]).toEqual([400, "parameter_invalid", "expires_at"]);
    expect(json.error.message).toMatch("at most 30 days ahead");
    const expiresAt = Math.floor(rig.clock.nowMs / 1000) + 29 * 24 * 60 * 60;
    expect((await create(rig, key, null, { expires_at: expiresAt })).status).toBe(200);
  });

  it("stop at the number of live tokens that an account may have", async () => {
    await using rig = await RestRig.start({ TOKEN_AUTHORITY_MAX_TOKENS_PER_ACCOUNT: "2" });
    const { key } = await rig.issue();
    expect((await create(rig, key, null)).status).toBe(200);
    expect((await create(rig, key, null)).json.error).toMatchObject({ code: "token_limit_reached" });
  });
});

describe("reads of an account", () => {
  it("are 100 a second, lists and single tokens together; its keys are revoked all the same", async () => {
    await using rig = await RestRig.start();
    const [{ key, id }, other] = [await rig.issue(), await rig.issue({ account: "acct_2" })];
    const paths = Array.from({ length: 400 }, (_, at) => (at % 2 === 0 ? "/v1/tokens" : `/v1/tokens/${id}`));
    const headers = { authorization: `Bearer ${key}` };
    const { many, seconds } = await floodUntilRefused(() =>
      paths.map((path) => fetch(`http://${rig.server.restAddress}${path}`, { headers })),
    );
    const accepted = many.filter(({ status }) => status === 200).length;
    expect(accepted).toBeGreaterThanOrEqual(100);
    expect(accepted).toBeLessThanOrEqual(100 + Math.ceil(100 * seconds));
    const refused = many.find(({ status }) => status === 429);
    expect(refused?.headers.get("retry-after")).toBe("1");
    expect(await refused?.json()).toMatchObject({ error: { type: "rate_limit_error", code: "rate_limited" } });
    expect((await rig.call("GET", "/v1/tokens", { key: other.key })).status).toBe(200);
    expect(await rig.codeOf("POST", `/v1/tokens/${id}/revoke`, { key })).toBe("200 ok");
  });
});

describe("a key that is revoked", () => {
  it("while its request's body is on the way makes nothing any more", async () => {
    await using rig = await RestRig.start();
    const { key, id } = await rig.issue();
    const text = JSON.stringify(body);
    const [host, port] = rig.server.restAddress?.split(":") ?? [];
    const request = httpRequest({
      ...{ host, port, method: "POST", path: "/v1/tokens" },
      headers: {
        ...{ authorization: `Bearer ${key}`, "content-type": "application/json" },
        ...{ "content-length": text.length, expect: "100-continue" },
      },
    });
    const status = new Promise((resolve, reject) => {
      request.on("response", (response) => resolve(response.resume().statusCode));
      request.on("error", reject);
    });
    // The server asks for the body: it has read the header.
    await new Promise((resolve) => request.once("continue", resolve));
    request.write(text.slice(0, 10));
    await rig.tokens.revoke({ id });
    request.end(text.slice(10));
    expect(await status).toBe(401);
    const { tokens } = await rig.tokens.list({ account: "acct_1" });
    expect(tokens.map((token) => token.id)).toEqual([id]);
  });

  it("makes nothing in a request that begins after the answer, however many are under way", async () => {
    await using rig = await RestRig.start({ TOKEN_AUTHORITY_THREADS: "3" });
    for (let round = 0; round < 10; round += 1) {
      const { key, id } = await rig.issue({ account: `acct_round_${round}` });
      const before = Array.from({ length: 8 }, () => rig.codeOf("POST", "/v1/tokens", { key, body }));
      await rig.tokens.revoke({ id });
      const after = Array.from({ length: 8 }, () => rig.codeOf("POST", "/v1/tokens", { key, body }));
      expect(new Set(await Promise.all(after))).toEqual(new Set(["401 token_revoked"]));
      await Promise.all(before);
    }
  });
});
