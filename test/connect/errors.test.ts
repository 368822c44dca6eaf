import { create, toBinary } from "@bufbuild/protobuf";
import { TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { TokenState, TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { type ChangeAction, CreateRequestSchema, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { AuthorityError, type Reason } from "../../src/authority/errors.ts";
import { holdsKey, mintKey } from "../../src/authority/key.ts";
import type { TokenAuthority } from "../../src/authority/token-authority.ts";
import { ConnectRig, errorOf, peerOf, protocols } from "./connect-rig.ts";

const restricted = { account: "acct_1", name: "Checkout", type: TokenType.RESTRICTED, permissions: ["charges:read"] };
const requestId = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52";
const noToken = "tok_00000000000000000000";

async function refusalOf(call: Promise<unknown>) {
  try {
    await call;
  } catch (error) {
    const { code, reason, metadata, domain, message } = errorOf(error);
    expect(domain).toBe("token.casapay.com");
    expect(message).toMatch(/^[a-z]/);
    return [code, reason, metadata];
  }
  return "ok";
}

const fieldInvalid = (field: string) => ["InvalidArgument", "FIELD_INVALID", { field }];

describe("refusals that the store and the authority decide", () => {
  it("answers each of Create's with its code, reason and field", async () => {
    await using rig = await ConnectRig.start({ maxTokensPerAccount: 2 });
    const client = rig.client(TokenService);
    expect(await refusalOf(client.create({ ...restricted, account: "" }))).toEqual([
      "InvalidArgument",
      "FIELD_INVALID",
      { field: "account" },
    ]);
    expect(
      await refusalOf(
        rig.client(TokenService, peerOf("service")).create({ ...restricted, type: TokenType.SECRET, permissions: [] }),
      ),
    ).toEqual(["PermissionDenied", "TYPE_NOT_GRANTED", { field: "type" }]);
    await client.create({ ...restricted, requestId });
    expect(await refusalOf(client.create({ ...restricted, requestId, name: "Other" }))).toEqual([
      "AlreadyExists",
      "REQUEST_ID_REUSED",
      { field: "request_id" },
    ]);
    await client.create(restricted);
    expect(await refusalOf(client.create(restricted))).toEqual([
      "ResourceExhausted",
      "TOKEN_LIMIT_REACHED",
      { field: "account" },
    ]);
  });

  it("answers a request id that needs a secret which is missing", async () => {
    await using rig = await ConnectRig.start({ hasSealingSecret: false });
    expect(await refusalOf(rig.client(TokenService).create({ ...restricted, requestId }))).toEqual([
      "FailedPrecondition",
      "SEALING_SECRET_MISSING",
      { field: "request_id" },
    ]);
  });

  it("answers a request_id that comes again with any one field changed", async () => {
    await using rig = await ConnectRig.start();
    const client = rig.client(TokenService);
    const { seconds } = timestampFromMs(rig.nowMs);
    const first = { ...restricted, requestId, expireTime: { seconds: seconds + 60n, nanos: 0 } };
    const { token, key } = await client.create(first);
    for (const changed of [
      { name: "Other" },
      { livemode: true },
      { permissions: ["events:write"] },
      { permissions: [...first.permissions, "events:write"] },
      { expireTime: { seconds: seconds + 61n, nanos: 0 } },
    ]) {
      expect(await refusalOf(client.create({ ...first, ...changed })), Object.keys(changed).join()).toEqual([
        "AlreadyExists",
        "REQUEST_ID_REUSED",
        { field: "request_id" },
      ]);
    }
    const secret = {
      ...first,
      type: TokenType.SECRET,
      permissions: [],
      requestId: "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c53",
    };
    await client.create(secret);
    expect((await refusalOf(client.create({ ...secret, type: TokenType.PUBLISHABLE })))[1]).toBe("REQUEST_ID_REUSED");
    // Another account's is another request.
    expect((await client.create({ ...first, account: "acct_other" })).token?.id).not.toBe(token?.id);
    expect(await client.create(first)).toMatchObject({ token: { id: token?.id }, key });
  });

  it("answers a request_id that nobody made: what a variable holds that is not set", async () => {
    await using rig = await ConnectRig.start();
    for (const unset of ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]) {
      for (const protocol of protocols) {
        const client = rig.client(TokenService, peerOf("operator"), protocol);
        for (const id of [unset, unset.toUpperCase()]) {
          expect(await refusalOf(client.create({ ...restricted, requestId: id }))).toEqual([
            "InvalidArgument",
            "FIELD_INVALID",
            { field: "request_id" },
          ]);
        }
      }
    }
  });

  it("answers a disk that is nearly full", async () => {
    await using rig = await ConnectRig.start({ minFreeBytes: Number.MAX_SAFE_INTEGER });
    expect(await refusalOf(rig.client(TokenService).create(restricted))).toEqual([
      "ResourceExhausted",
      "STORAGE_LOW",
      {},
    ]);
  });

  it("answers those of Get, List, Revoke and Authenticate", async () => {
    await using rig = await ConnectRig.start();
    const client = rig.client(TokenService);
    expect(await refusalOf(client.get({ id: "?" }))).toEqual(["InvalidArgument", "FIELD_INVALID", { field: "id" }]);
    expect(await refusalOf(client.get({ id: noToken }))).toEqual(["NotFound", "TOKEN_NOT_FOUND", { field: "id" }]);
    expect(await refusalOf(client.revoke({ id: noToken }))).toEqual(["NotFound", "TOKEN_NOT_FOUND", { field: "id" }]);
    expect(await refusalOf(client.revoke({ id: noToken, reason: "a\nb" }))).toEqual([
      "InvalidArgument",
      "FIELD_INVALID",
      { field: "reason" },
    ]);
    expect(await refusalOf(client.list({ pageSize: -1 }))).toEqual([
      "InvalidArgument",
      "FIELD_INVALID",
      { field: "page_size" },
    ]);
    expect(await refusalOf(client.list({ pageToken: "?" }))).toEqual([
      "InvalidArgument",
      "PAGE_TOKEN_INVALID",
      { field: "page_token" },
    ]);
    expect(await refusalOf(rig.client(TokenService, peerOf("service")).list({}))).toEqual([
      "InvalidArgument",
      "FIELD_INVALID",
      { field: "account" },
    ]);
    expect(await refusalOf(client.list({ nameContains: "x".repeat(101) }))).toEqual(fieldInvalid("name_contains"));
    expect(await refusalOf(client.list({ nameContains: "a\nb" }))).toEqual(fieldInvalid("name_contains"));
    for (const createdBy of ["x".repeat(2049), "a\nb", "é"]) {
      expect(await refusalOf(client.list({ createdBy }))).toEqual(fieldInvalid("created_by"));
    }
    for (const keyHint of ["abc", "abcde", "abc_"]) {
      expect(await refusalOf(client.list({ keyHint }))).toEqual(fieldInvalid("key_hint"));
    }
    expect(await refusalOf(client.authenticate({ key: "?", requiredPermissions: ["*"] }))).toEqual([
      "InvalidArgument",
      "FIELD_INVALID",
      { field: "required_permissions" },
    ]);
  });

  it("answers those of FindByDigest, ListChanges and ListAccounts", async () => {
    await using rig = await ConnectRig.start();
    const client = rig.client(TokenService);
    for (const length of [0, 31, 33, 46]) {
      expect(await refusalOf(client.findByDigest({ digest: new Uint8Array(length) }))).toEqual(fieldInvalid("digest"));
    }
    const notFound = (field: string) => ["NotFound", "TOKEN_NOT_FOUND", { field }];
    expect(await refusalOf(client.findByDigest({ digest: new Uint8Array(32) }))).toEqual(notFound("digest"));
    expect(await refusalOf(client.listChanges({ tokenId: noToken }))).toEqual(notFound("token_id"));
    expect(await refusalOf(client.listChanges({ tokenId: "?" }))).toEqual(fieldInvalid("token_id"));
    expect(await refusalOf(client.listChanges({ pageSize: -1 }))).toEqual(fieldInvalid("page_size"));
    expect(await refusalOf(client.listChanges({ caller: "a\nb" }))).toEqual(fieldInvalid("caller"));
    expect(await refusalOf(client.listChanges({ account: "a b" }))).toEqual(fieldInvalid("account"));
    expect(await refusalOf(client.listChanges({ action: 99 as ChangeAction }))).toEqual(fieldInvalid("action"));
    const afterAllTime = { seconds: 253_402_300_800n, nanos: 0 };
    expect(await refusalOf(client.listChanges({ changedFrom: afterAllTime }))).toEqual(fieldInvalid("changed_from"));
    expect(await refusalOf(client.listChanges({ changedBefore: afterAllTime }))).toEqual(
      fieldInvalid("changed_before"),
    );
    expect(await refusalOf(client.listAccounts({ pageSize: -1 }))).toEqual(fieldInvalid("page_size"));
    expect(await refusalOf(client.listAccounts({ prefix: "a b" }))).toEqual(fieldInvalid("prefix"));
    expect(await refusalOf(client.listAccounts({ prefix: "a".repeat(65) }))).toEqual(fieldInvalid("prefix"));
    const pageTokenInvalid = ["InvalidArgument", "PAGE_TOKEN_INVALID", { field: "page_token" }];
    expect(await refusalOf(client.listChanges({ pageToken: "?" }))).toEqual(pageTokenInvalid);
    expect(await refusalOf(client.listAccounts({ pageToken: "?" }))).toEqual(pageTokenInvalid);
    for (const role of ["service", "dashboard"] as const) {
      const asRole = rig.client(TokenService, peerOf(role));
      expect(await refusalOf(asRole.listChanges({}))).toEqual(fieldInvalid("token_id"));
      expect(await refusalOf(asRole.listChanges({ account: "acct_1" }))).toEqual(fieldInvalid("token_id"));
    }
  });

  // Every reason of the domain, whatever has to happen for it.
  const codeOf = {
    FIELD_INVALID: "InvalidArgument",
    PAGE_TOKEN_INVALID: "InvalidArgument",
    TYPE_NOT_GRANTED: "PermissionDenied",
    TOKEN_NOT_FOUND: "NotFound",
    ACCOUNT_CLOSED: "FailedPrecondition",
    TOKEN_LIMIT_REACHED: "ResourceExhausted",
    STORAGE_LOW: "ResourceExhausted",
    REQUEST_ID_REUSED: "AlreadyExists",
    SEALING_SECRET_MISSING: "FailedPrecondition",
    REPLAY_UNREADABLE: "FailedPrecondition",
    TOKEN_NOT_ACTIVE: "FailedPrecondition",
    ROTATION_UNDER_WAY: "FailedPrecondition",
    ROTATION_NOT_UNDER_WAY: "FailedPrecondition",
    KEY_LIMIT_REACHED: "FailedPrecondition",
    REQUEST_NOT_SUPPORTED: "Unimplemented",
    JOURNAL_WENT_BACK: "FailedPrecondition",
    UNDECIDED: "Unavailable",
  } satisfies Record<Reason, string>;

  it.each(protocols)("gives every reason the code that the contract states, over %s", async (protocol) => {
    let error: Error = new Error("none yet");
    await using rig = await ConnectRig.start({ replaceAuthority: () => failingWith(() => error) });
    for (const [reason, code] of Object.entries(codeOf)) {
      error = new AuthorityError(reason as Reason, { field: "id", rule: "the rule", tokenId: noToken });
      expect(await refusalOf(rig.client(TokenService, undefined, protocol).get({ id: noToken }))).toEqual([
        code,
        reason,
        { field: "id", token_id: noToken },
      ]);
    }
  });
});

describe("faults", () => {
  const rpcs: Record<string, (client: Client<typeof TokenService>) => Promise<unknown>> = {
    create: (client) => client.create(restricted),
    get: (client) => client.get({ id: noToken }),
    list: (client) => client.list({}),
    revoke: (client) => client.revoke({ id: noToken }),
    revokeTokens: (client) => client.revokeTokens({ filter: { account: "acct_1" } }),
    rotateKey: (client) => client.rotateKey({ id: noToken, overlap: { seconds: 60n } }),
    endRotation: (client) => client.endRotation({ id: noToken, what: { case: "cancel", value: true } }),
    findByDigest: (client) => client.findByDigest({ digest: new Uint8Array(32) }),
    listChanges: (client) => client.listChanges({}),
    listAccounts: (client) => client.listAccounts({}),
  };

  it.each(Object.keys(rpcs))("of %s reach the log, and the caller learns nothing", async (name) => {
    await using rig = await ConnectRig.start({
      replaceAuthority: () => failingWith(() => new Error("table is on fire")),
    });
    for (const protocol of protocols) {
      const error = await rpcs[name]?.(rig.client(TokenService, undefined, protocol)).catch(
        (reason: unknown) => reason,
      );
      expect(errorOf(error)).toMatchObject({ code: "Internal", message: "internal error", reason: null });
      expect(rig.calls.at(-1)).toMatchObject({ code: "INTERNAL", reason: null });
    }
    expect(rig.logged).toHaveLength(3);
    expect(rig.logged[0]?.fields).toMatchObject({ err: new Error("table is on fire") });
    expect(rig.answered.join("")).not.toContain("fire");
  });

  it.each([
    ["rejects with an error", () => Promise.reject(new Error("disk gone"))],
    [
      "throws an error",
      () => {
        throw new Error("disk gone");
      },
    ],
    [
      "rejects as undecided",
      () => Promise.reject(new AuthorityError("UNDECIDED", { rule: "ask again", cause: new Error("disk gone") })),
    ],
    ["rejects with what is no error", () => Promise.reject("disk gone")],
  ])(
    "that keep Authenticate from deciding are never a refusal of the key: the authority %s",
    async (_, authenticate) => {
      await using rig = await ConnectRig.start({ replaceAuthority: (authority) => ({ ...authority, authenticate }) });
      for (const protocol of protocols) {
        const client = rig.client(TokenService, peerOf("gateway"), protocol);
        expect(await refusalOf(client.authenticate({ key: mintKey("secret", true) }))).toEqual([
          "Unavailable",
          "UNDECIDED",
          {},
        ]);
        expect(rig.calls.at(-1)).toMatchObject({ code: "UNAVAILABLE", reason: "UNDECIDED", refusal: null });
      }
      expect(rig.logged).toHaveLength(3);
      expect(rig.answered.join("")).not.toContain("disk gone");
    },
  );

  it("are logged at most 10 times a second, and then say how many were left out", async () => {
    await using rig = await ConnectRig.start({ replaceAuthority: () => failingWith(() => new Error("down")) });
    const client = rig.client(TokenService);
    await Promise.all(Array.from({ length: 50 }, () => client.get({ id: noToken }).catch(() => {})));
    expect(rig.logged.length).toBeGreaterThanOrEqual(10);
    expect(rig.logged.length).toBeLessThanOrEqual(20);
  });

  it("do not bring a key into the log", async () => {
    const key = mintKey("secret", true);
    const cause = new Error("inner", { cause: { row: [`value ${key}`] } });
    await using rig = await ConnectRig.start({
      replaceAuthority: () => failingWith(() => new Error("outer", { cause })),
    });
    await rig
      .client(TokenService)
      .get({ id: noToken })
      .catch(() => {});
    expect(rig.logged).toHaveLength(1);
    expect(rig.logged[0]?.fields).toMatchObject({ err: new Error("withheld: the error's text held a key") });
  });
});

describe("types, states and times that are none", () => {
  it("are refused, with the name of the field", async () => {
    await using rig = await ConnectRig.start();
    const client = rig.client(TokenService);
    const future = { expireTime: { seconds: BigInt(rig.nowMs / 1000 + 60), nanos: 0 } };
    const cases: readonly (readonly [Promise<unknown>, string])[] = [
      [client.create({ ...restricted, type: TokenType.UNSPECIFIED }), "type"],
      [client.create({ ...restricted, type: 99 as typeof TokenType.SECRET }), "type"],
      [client.list({ types: [TokenType.SECRET, TokenType.UNSPECIFIED] }), "types"],
      [client.list({ states: [TokenState.UNSPECIFIED] }), "states"],
      [client.list({ states: [4 as typeof TokenState.ACTIVE] }), "states"],
      [client.authenticate({ key: "k", allowedTypes: [9 as typeof TokenType.SECRET] }), "allowed_types"],
      [client.create({ ...restricted, expireTime: { seconds: 253_402_300_800n, nanos: 0 } }), "expire_time"],
      [client.create({ ...restricted, expireTime: { ...future.expireTime, nanos: 1_000_000_000 } }), "expire_time"],
      [client.create({ ...restricted, expireTime: { ...future.expireTime, nanos: -1 } }), "expire_time"],
      [client.list({ createdFrom: { seconds: -62_135_596_801n, nanos: 0 } }), "created_from"],
      [client.list({ createdBefore: { seconds: 1n << 62n, nanos: 0 } }), "created_before"],
      [client.list({ expiresBefore: { seconds: 0n, nanos: -1 } }), "expires_before"],
      [client.list({ unusedSince: { seconds: 0n, nanos: 2_000_000_000 } }), "unused_since"],
    ];
    for (const [call, field] of cases) {
      expect(await refusalOf(call)).toEqual(["InvalidArgument", "FIELD_INVALID", { field }]);
    }
    expect(await refusalOf(client.create({ ...restricted, ...future }))).toBe("ok");
  });

  it("are read from the wire as any client may write them", () => {
    const message = create(CreateRequestSchema, { type: 99 as typeof TokenType.SECRET });
    expect(toBinary(CreateRequestSchema, message)).toEqual(Uint8Array.of(0x18, 99));
    expect(create(TimestampSchema).seconds).toBe(0n);
  });
});

it("says nothing that holds a key in any refusal", async () => {
  await using rig = await ConnectRig.start();
  const key = mintKey("secret", true);
  for (const protocol of protocols) {
    for (const useBinaryFormat of [true, false]) {
      const client = rig.client(TokenService, undefined, protocol, useBinaryFormat);
      const calls = [
        client.create({ ...restricted, account: key }),
        client.create({ ...restricted, name: key }),
        client.create({ ...restricted, permissions: [key] }),
        client.create({ ...restricted, permissions: [`${key.toLowerCase()}:read`, key] }),
        client.create({ ...restricted, requestId: key }),
        client.get({ id: key }),
        client.revoke({ id: key }),
        client.revoke({ id: noToken, reason: key }),
        client.list({ account: key }),
        client.list({ permission: key }),
        client.list({ pageToken: key }),
        client.list({ nameContains: key }),
        client.list({ nameContains: `x ${key} x` }),
        client.list({ keyHint: key }),
        client.list({ createdBy: key }),
        client.findByDigest({ digest: Buffer.from(key) }),
        client.listChanges({ tokenId: key }),
        client.listChanges({ pageToken: key }),
        client.listChanges({ caller: `local ${key}` }),
        client.listChanges({ account: key }),
        client.listAccounts({ prefix: key }),
        client.listAccounts({ pageToken: key }),
        client.authenticate({ key: "", requiredPermissions: [key] }),
        client.authenticate({ key }),
      ];
      for (const call of calls) {
        await call.catch(() => {});
      }
    }
  }
  const seen = [...rig.answered, JSON.stringify(rig.calls), JSON.stringify(rig.logged)].join("\n");
  expect(rig.calls).toHaveLength(24 * 6);
  expect(holdsKey(seen)).toBe(false);
  expect(seen).not.toContain(key.slice(8, 40));
});

function failingWith(error: () => Error): TokenAuthority {
  const fail = () => Promise.reject(error());
  return {
    create: fail,
    get: fail,
    list: fail,
    revoke: fail,
    revokeTokens: fail,
    rotateKey: fail,
    endRotation: fail,
    setHold: fail,
    closeAccount: fail,
    findByDigest: fail,
    listChanges: fail,
    listAccounts: fail,
    authenticate: fail,
    authenticateForCache: fail,
    watch: () => null,
    holders: () => {
      throw new Error("nobody asks");
    },
  };
}
