import { request } from "node:http";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { ChangeAction } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mintKey } from "../../src/authority/key.ts";
import { RestRig } from "./rest-rig.ts";

const self = "/v1/tokens/self";
const revokeSelf = "/v1/tokens/self/revoke";

/** The Allow header of a path that does not have the method. */
async function allowedAt(rig: RestRig, method: string, path: string): Promise<string | null> {
  const { status, header } = await rig.call(method, path);
  expect(status).toBe(405);
  return header.get("allow");
}

describe("a key that asks for its own token", () => {
  it.each([true, false])(
    "is shown it as every reader of the token is, whatever its type (livemode %s)",
    async (livemode) => {
      await using rig = await RestRig.start();
      const reader = await rig.issue({ livemode });
      const keys = [
        await rig.issue({ livemode }),
        await rig.restricted(["events:read"], { livemode }),
        await rig.issue({ livemode, type: TokenType.PUBLISHABLE }),
      ];
      for (const { key, id } of keys) {
        const { status, header, json, text } = await rig.call("GET", self, { key });
        expect([status, header.get("cache-control")]).toEqual([200, "no-store"]);
        expect(json).toMatchObject({ id, object: "token", livemode, status: "active" });
        expect(text).toBe((await rig.call("GET", `/v1/tokens/${id}`, { key: reader.key })).text);
        expect(text).not.toContain(key);
      }
    },
  );

  it("is told what a restricted key may do, which it need have no permission for", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.restricted(["events:read", "charges:write"]);
    expect(await rig.codeOf("GET", "/v1/tokens", { key })).toBe("403 insufficient_permissions");
    const { json } = await rig.call("GET", self, { key });
    expect(json).toMatchObject({ type: "restricted", permissions: ["events:read", "charges:write"] });
  });

  it("is told 401 when it is malformed, unknown, revoked or expired", async () => {
    await using rig = await RestRig.start();
    const revoked = await rig.issue();
    await rig.tokens.revoke({ id: revoked.id });
    const expired = await rig.issue({ expireTime: rig.inSeconds(60) });
    expect(await rig.codeOf("GET", self, { key: expired.key })).toBe("200 ok");
    rig.clock.nowMs += 60_000;
    for (const [key, code] of [
      ["sk_live_nonsense", "key_malformed"],
      [mintKey("secret", false), "key_unknown"],
      [revoked.key, "token_revoked"],
      [expired.key, "token_expired"],
    ] as const) {
      expect(await rig.codeOf("GET", self, { key })).toBe(`401 ${code}`);
      expect(await rig.codeOf("POST", revokeSelf, { key })).toBe(`401 ${code}`);
    }
    expect((await rig.tokens.listChanges({ action: ChangeAction.REVOKE })).changes).toHaveLength(1);
  });

  it("finds no parameter, no other method, and nothing beside it", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    expect(await rig.codeOf("GET", `${self}?limit=1`, { key })).toBe("400 parameter_unknown");
    expect(await allowedAt(rig, "POST", self)).toBe("GET, HEAD");
    expect(await allowedAt(rig, "DELETE", self)).toBe("GET, HEAD");
    expect(await allowedAt(rig, "GET", revokeSelf)).toBe("POST");
    for (const path of [`${self}/`, `${self}/get`, `${revokeSelf}/`]) {
      expect(await rig.codeOf("GET", path, { key })).toBe("404 not_found");
    }
    for (const path of ["/v1/tokens/Self", "/v1/tokens/sel%66"]) {
      expect(await rig.codeOf("GET", path, { key })).toBe("404 token_not_found");
    }
  });

  it("gets the header alone for HEAD, which says whether the key is good", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue({ type: TokenType.PUBLISHABLE });
    expect(await rig.call("HEAD", self, { key })).toMatchObject({ status: 200, text: "" });
    expect(await rig.call("HEAD", self, { key: mintKey("secret", true) })).toMatchObject({ status: 401, text: "" });
  });

  it("is logged and measured as a Get, and counts as a use of the key", async () => {
    await using rig = await RestRig.start();
    const { key, id } = await rig.restricted(["events:read"]);
    await rig.call("GET", self, { key });
    await rig.call("POST", revokeSelf, { key });
    const service = "casapay.token.v1.TokenService";
    expect(await rig.bearerCalls()).toMatchObject([
      { rpc: `${service}/Get`, caller: id, token_id: id, code: "OK" },
      { rpc: `${service}/Revoke`, caller: id, token_id: id, revision: 2 },
    ]);
    const metrics = await rig.metrics();
    expect(metrics).toContain(
      `rpc_server_call_duration_seconds_count{rpc_system_name="rest",rpc_method="${service}/Get",rpc_response_status_code="OK"} 1\n`,
    );
    await rig.stop();
    await rig.start();
    expect((await rig.tokens.get({ id })).token?.lastUseTime).toEqual(rig.inSeconds(0));
  });
});

describe("a key that ends itself", () => {
  it.each([true, false])(
    "is shown its token, revoked, with the reason in the journal (livemode %s)",
    async (livemode) => {
      await using rig = await RestRig.start();
      for (const { key, id } of [
        await rig.issue({ livemode }),
        await rig.restricted(["events:read"], { livemode }),
        await rig.restricted(["tokens:read"], { livemode }),
      ]) {
        const body = { reason: "  the till was sold " };
        const { status, json } = await rig.call("POST", revokeSelf, { key, body });
        const revokedAt = Math.floor(rig.clock.nowMs / 1000);
        expect([status, json.id, json.status, json.revoked_at]).toEqual([200, id, "revoked", revokedAt]);
        const { changes } = await rig.tokens.listChanges({ tokenId: id, action: ChangeAction.REVOKE });
        expect(changes).toMatchObject([{ tokenId: id, caller: id, revokeReason: "the till was sold" }]);
      }
    },
  );

  it("is refused from the next request on, on every thread and at every door", async () => {
    await using rig = await RestRig.start({ TOKEN_AUTHORITY_THREADS: "2" });
    // Each is a connection of its own: the system spreads them over the threads.
    const gateways = Array.from({ length: 8 }, () => rig.tokens);
    const reasonsOf = (key: string) =>
      Promise.all(
        gateways.map(async (tokens) => {
          const { outcome } = await tokens.authenticate({ key });
          return outcome.case === "refusal" ? outcome.value.reason : null;
        }),
      );
    const revoked = 3;
    for (let round = 0; round < 10; round += 1) {
      const { key } = await rig.restricted(["events:read"]);
      expect(await reasonsOf(key)).toEqual(gateways.map(() => null));
      expect(await rig.codeOf("POST", revokeSelf, { key })).toBe("200 ok");
      expect(await reasonsOf(key)).toEqual(gateways.map(() => revoked));
      expect(await rig.codeOf("GET", self, { key })).toBe("401 token_revoked");
      expect(await rig.codeOf("POST", revokeSelf, { key })).toBe("401 token_revoked");
      const authorized = await fetch(`http://${rig.server.address}/authorize?permission=none`, {
        headers: { authorization: `Bearer ${key}` },
      });
      expect(authorized.status).toBe(401);
    }
  });

  it("is revoked once, however often it asks at once", async () => {
    await using rig = await RestRig.start();
    const { key, id } = await rig.restricted(["events:read"]);
    const codes = await Promise.all(Array.from({ length: 20 }, () => rig.codeOf("POST", revokeSelf, { key })));
    expect(codes.filter((code) => code === "200 ok")).toHaveLength(1);
    expect(new Set(codes)).toEqual(new Set(["200 ok", "401 token_revoked"]));
    expect((await rig.tokens.listChanges({ tokenId: id, action: ChangeAction.REVOKE })).changes).toHaveLength(1);
  });

  it("ends no other key of its account", async () => {
    await using rig = await RestRig.start();
    const [one, other] = [await rig.restricted(["events:read"]), await rig.restricted(["events:read"])];
    expect(await rig.codeOf("POST", revokeSelf, { key: one.key })).toBe("200 ok");
    expect(await rig.verdictOf(other.key)).toBe("principal");
  });

  it("need not fear its holder when it is publishable, for that is everybody", async () => {
    await using rig = await RestRig.start();
    const { key, id } = await rig.issue({ type: TokenType.PUBLISHABLE });
    const { status, json } = await rig.call("POST", revokeSelf, { key });
    expect([status, json.error.type, json.error.code]).toEqual([403, "permission_error", "key_is_public"]);
    expect(json.error.message).toContain("is public, so that it cannot revoke itself");
    expect(await rig.codeOf("GET", self, { key })).toBe("200 ok");
    expect((await rig.tokens.get({ id })).token?.revokeTime).toBeUndefined();
  });

  it("may send an Idempotency-Key, which changes nothing here: a lost answer is known by token_revoked", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.restricted(["events:read"]);
    const header = { "idempotency-key": "till-7" };
    expect(await rig.codeOf("POST", revokeSelf, { key, header })).toBe("200 ok");
    expect(await rig.codeOf("POST", revokeSelf, { key, header })).toBe("401 token_revoked");
  });
});

describe("the reason of a revocation", () => {
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const json = { "content-type": "application/json" };

  async function reasonsIn(rig: RestRig): Promise<readonly string[]> {
    const { changes } = await rig.tokens.listChanges({ action: ChangeAction.REVOKE });
    return changes.map(({ revokeReason }) => revokeReason).toReversed();
  }

  it("is in the journal, from JSON and from a form, with 256 characters of any script, and the first one stays", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const longest = "𝔘".repeat(256);
    for (const [header, body] of [
      [json, { reason: "found in a public repository" }],
      [form, "reason=found+in+a+p%C3%BCblic+repository"],
      [form, `reason=${encodeURIComponent(` ${longest} `)}`],
      [json, "{}"],
      [json, { reason: "" }],
      [{}, ""],
    ] as const) {
      const { id } = await rig.restricted(["events:read"]);
      const path = `/v1/tokens/${id}/revoke`;
      expect(await rig.codeOf("POST", path, { key, header, body })).toBe("200 ok");
      expect(await rig.codeOf("POST", path, { key, body: { reason: "another" } })).toBe("200 ok");
    }
    expect(await reasonsIn(rig)).toEqual([
      "found in a public repository",
      "found in a püblic repository",
      longest,
      "",
      "",
      "",
    ]);
  });

  it.each([revokeSelf, "/v1/tokens/ID/revoke"])(
    "that makes no sense is refused by its name, and nothing is revoked: %s",
    async (path) => {
      await using rig = await RestRig.start();
      const maker = await rig.issue();
      const other = await rig.restricted(["events:read"]);
      const leaked = mintKey("restricted", true);
      for (const [header, body, fault] of [
        [json, { reason: "x".repeat(257) }, "parameter_invalid reason"],
        [json, { reason: "x".repeat(60_000) }, "parameter_invalid reason"],
        [json, { reason: "a\u0000b" }, "parameter_invalid reason"],
        [json, { reason: "a\nb" }, "parameter_invalid reason"],
        [json, { reason: "a\u202eb" }, "parameter_invalid reason"],
        [json, { reason: `it was ${leaked}` }, "parameter_invalid reason"],
        [json, { reason: 1 }, "parameter_invalid reason"],
        [json, { reason: null }, "parameter_invalid reason"],
        [json, { reason: ["a"] }, "parameter_invalid reason"],
        [json, '{"reason":"a","reason":"b"}', "parameter_invalid reason"],
        [json, { why: "a" }, "parameter_unknown why"],
        [form, "reason=a&reason=b", "parameter_invalid reason"],
        [form, "reason[]=a", "parameter_invalid reason"],
        [form, "reason=%00", "parameter_invalid reason"],
        [form, `reason=${leaked}`, "parameter_invalid reason"],
      ] as const) {
        const answer = await rig.call("POST", path.replace("ID", other.id), { key: maker.key, header, body });
        const { code, param } = answer.json.error;
        expect([answer.status, `${code} ${param}`], JSON.stringify(body).slice(0, 40)).toEqual([400, fault]);
        expect(answer.text).not.toContain(leaked);
      }
      const inQuery = `${path.replace("ID", other.id)}?reason=a`;
      expect(await rig.codeOf("POST", inQuery, { key: maker.key })).toBe("400 parameter_unknown");
      expect(await reasonsIn(rig)).toEqual([]);
      expect(JSON.stringify(rig.logged)).not.toContain(leaked);
    },
  );

  it("is told wrong before what the key may not revoke, and after what it may not do at all", async () => {
    await using rig = await RestRig.start();
    const { id } = await rig.issue();
    const body = { reason: "a\u0000b" };
    const revoke = (key: string) => rig.codeOf("POST", `/v1/tokens/${id}/revoke`, { key, body });
    expect(await revoke((await rig.restricted(["tokens:write"])).key)).toBe("400 parameter_invalid");
    expect(await revoke((await rig.restricted(["events:read"])).key)).toBe("403 insufficient_permissions");
    const { key: published } = await rig.issue({ type: TokenType.PUBLISHABLE });
    expect(await rig.codeOf("POST", revokeSelf, { key: published, body })).toBe("400 parameter_invalid");
  });

  it("of a type that is no body here is refused with 415, and the key lives on", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const header = { "content-type": "text/plain" };
    expect(await rig.codeOf("POST", revokeSelf, { key, header, body: "reason=a" })).toBe("415 media_type_unsupported");
    expect(await rig.codeOf("GET", self, { key })).toBe("200 ok");
  });

  it("that never comes in whole revokes nothing", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const sent = request(`http://${rig.server.restAddress}${revokeSelf}`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "content-length": "40" },
    });
    const failed = new Promise((resolve) => sent.once("error", resolve));
    await new Promise<void>((resolve) => {
      sent.write('{"reason":"the t', () => resolve());
    });
    sent.destroy();
    await failed;
    expect(await rig.codeOf("GET", self, { key })).toBe("200 ok");
  });
});
