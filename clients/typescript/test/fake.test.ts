import { createHash } from "node:crypto";
import { inspect } from "node:util";
import { expect, it } from "vitest";
import { createFakeAuthority } from "../src/fake.ts";
import { withKey } from "../src/fetch.ts";
import { type Authority, connect } from "../src/index.ts";
import { AuthorityProcess } from "./support/authority-process.ts";
import { unknownKey } from "./support/keys.ts";

/** What one caller does in a day, and what it is told: times, ids and keys left out. */
async function story(authority: Authority): Promise<readonly unknown[]> {
  const told: unknown[] = [];
  const ids = new Map<unknown, string>();
  const tell = async (call: Promise<unknown>) => {
    const answer = await call.then(
      (value) => value,
      ({ name, code, reason, field, isMistake }) => ({ name, code, reason, field, isMistake }),
    );
    told.push(
      JSON.parse(
        JSON.stringify(answer, (name, value) =>
          name === "lastUseTime" || (/(?:hint|Time|hash|facts|Hint|message|PageToken)$/.test(name) && value !== null)
            ? name
            : (ids.get(value) ?? value),
        ),
      ),
    );
  };
  const till = {
    account: "acct_1",
    name: "Till",
    type: "restricted",
    livemode: true,
    permissions: ["charges:write"],
  } as const;
  const requestId = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52";
  const { key, token } = await authority.create({ ...till, requestId });
  ids.set(token.id, "the till");
  const secret = await authority.create({ account: "acct_2", name: "Shop", type: "secret" });
  ids.set(secret.token.id, "the shop");
  const page = await authority.create({ account: "acct_2", name: "Page", type: "publishable" });
  ids.set(page.token.id, "the page");

  expect((await authority.create({ ...till, requestId })).key).toBe(key);
  await tell(authority.create({ ...till, name: "Other", requestId }));
  await tell(authority.create({ ...till, permissions: [] }));
  await tell(authority.create({ ...till, permissions: ["charges:all"] }));
  await tell(authority.create({ ...till, account: "" }));
  await tell(authority.create({ ...till, expireTime: new Date(0) }));
  for (const question of [
    {},
    { requiredPermissions: ["charges:read"], livemode: true },
    { requiredPermissions: ["charges:read", "events:read"] },
    { livemode: false },
    { allowedTypes: ["publishable"] },
    { requiredPermissions: ["nonsense"] },
  ] as const) {
    await tell(authority.authenticate(key, question));
    await tell(authority.authenticate(secret.key, question));
    await tell(authority.authenticate(page.key, question));
  }
  await tell(authority.authenticate(unknownKey));
  await tell(authority.authenticate(`${key.slice(0, -1)}!`));
  await tell(authority.get(token.id));
  await tell(authority.get("tok_00000000000000000000"));
  await tell(authority.findByDigest(createHash("sha256").update(key).digest()));
  await tell(authority.findByDigest(Buffer.alloc(32)));
  await tell(authority.list());
  await tell(authority.list({ account: "acct_2", types: ["publishable"], livemode: false, states: ["active"] }));
  await tell(authority.list({ permission: "charges:read" }));
  await tell(authority.revoke(token.id, "lost"));
  await tell(authority.revoke(token.id, "again"));
  await tell(authority.authenticate(key));
  await tell(authority.list({ states: ["revoked"] }));
  await tell(authority.listChanges());
  await tell(authority.listChanges({ tokenId: token.id }));
  await tell(authority.listChanges({ oldestFirst: true, afterRevision: 2 }));
  await tell(authority.listChanges({ oldestFirst: true, afterRevision: 99 }));
  await tell(authority.listAccounts({ prefix: "acct_" }));

  const shop = secret.token.id;
  const hourMs = 3_600_000;
  const rotation = { overlapMs: hourMs, requestId: "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c53" };
  const rotated = await authority.rotateKey(shop, rotation);
  expect((await authority.rotateKey(shop, rotation)).key).toBe(rotated.key);
  expect(inspect(rotated, { depth: 10, showHidden: true })).not.toContain(rotated.key);
  await tell(authority.rotateKey(shop, { ...rotation, overlapMs: 2 * hourMs }));
  await tell(authority.rotateKey(shop, { overlapMs: 8 * 24 * hourMs }));
  await tell(authority.rotateKey(token.id, { overlapMs: hourMs }));
  await tell(authority.list({ rotating: true }));
  await tell(authority.findByDigest(createHash("sha256").update(secret.key).digest()));
  expect(await authority.authenticate(secret.key)).toMatchObject({ kind: "principal", expireTime: expect.any(Date) });
  await tell(authority.authenticate(rotated.key));
  await tell(authority.endRotation(shop, { moveTo: new Date(Date.now() + 2 * hourMs) }));
  await tell(authority.endRotation(shop, { moveTo: new Date(Date.now() + 8 * 24 * hourMs) }));
  await tell(authority.endRotation(shop, "cut"));
  await tell(authority.endRotation(shop, "cut"));
  await tell(authority.endRotation(shop, "cancel"));
  await tell(authority.endRotation(token.id, "cut"));
  await tell(authority.authenticate(secret.key));
  const third = await authority.rotateKey(shop, { overlapMs: hourMs });
  await tell(authority.endRotation(shop, "cancel"));
  await tell(authority.endRotation(shop, "cancel"));
  await tell(authority.authenticate(third.key));

  for (const held of [true, true, false, false]) {
    await tell(authority.setHold({ tokenId: shop }, held, "looked at"));
    await tell(authority.authenticate(rotated.key));
    await tell(authority.setHold({ account: "acct_2" }, held, "looked at"));
    await tell(authority.authenticate(rotated.key));
    await tell(authority.list({ held: true }));
  }
  await tell(authority.setHold({ account: "no name!" }, true));
  await tell(authority.setHold({ tokenId: "tok_00000000000000000000" }, true));
  await tell(authority.closeAccount("acct_2", "fraud"));
  await tell(authority.closeAccount("acct_2", "again"));
  await tell(authority.authenticate(rotated.key));
  await tell(authority.setHold({ account: "acct_2" }, false));
  await tell(authority.setHold({ tokenId: shop }, true));
  await tell(authority.create({ account: "acct_2", name: "Late", type: "secret" }));
  await tell(authority.rotateKey(shop, { overlapMs: hourMs }));

  await tell(authority.revokeTokens({}));
  await tell(authority.revokeTokens({ account: "acct_2" }));
  await tell(authority.revokeTokens({ account: "acct_2" }, { force: true }));
  for (const _ of [1, 2]) {
    await tell(authority.revokeTokens({ types: ["secret"] }, { force: true, upToRevision: 5, reason: "fraud" }));
  }
  await tell(authority.listAccounts());
  await tell(authority.listChanges());
  return told;
}

it("answers as the real authority does", async () => {
  await using server = await AuthorityProcess.start();
  using real = connect(server.address, { security: "plaintext" });
  const told = await story(createFakeAuthority());
  expect(told).toStrictEqual(await story(real));
  expect(JSON.stringify(told)).toContain("TOKEN_REVOKED");
});

it("goes by the clock that it is given", async () => {
  let now = new Date("2030-01-01T00:00:00Z");
  const fake = createFakeAuthority({ now: () => now });
  const { key } = await fake.create({
    ...{ account: "acct_1", name: "Till", type: "secret" },
    expireTime: new Date("2030-01-01T01:00:00Z"),
  });
  now = new Date("2030-01-01T00:59:59.999Z");
  expect(await fake.authenticate(key)).toMatchObject({ kind: "principal" });
  now = new Date("2030-01-01T01:00:00Z");
  expect(await fake.authenticate(key)).toMatchObject({ reason: "TOKEN_EXPIRED" });
});

it("has an outage when told so, which a guard answers with 503", async () => {
  const fake = createFakeAuthority();
  const { key } = await fake.create({ account: "acct_1", name: "Till", type: "secret" });
  const guarded = withKey(fake, { requiredPermissions: [] }, (_, { account }) => new Response(account));
  const request = () => new Request("http://api.example/", { headers: { "x-api-key": key } });
  expect(await (await guarded(request())).text()).toBe("acct_1");
  fake.isDown = true;
  await expect(fake.authenticate(key)).rejects.toMatchObject({ code: "UNAVAILABLE", isMistake: false });
  expect((await guarded(request())).status).toBe(503);
  fake.isDown = false;
  expect((await guarded(request())).status).toBe(200);
});

it("refuses a filter that it does not have", async () => {
  await expect(createFakeAuthority().list({ nameContains: "till" })).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
});
