import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { type Authority, connect, type Decision, type TokenType } from "../src/index.ts";
import { AuthorityProcess, rigFile, tlsSettings } from "./support/authority-process.ts";
import { unknownKey } from "./support/keys.ts";
import { SilentProxy } from "./support/silent-proxy.ts";

const plaintext = { security: "plaintext" } as const;
const cached = { ...plaintext, cache: { maxMiB: 8 } } as const;
const charges = { requiredPermissions: ["charges:read"] };
const restricted = { account: "acct_1", name: "Till", type: "restricted", permissions: ["charges:write"] } as const;

function told(decision: Decision): string {
  return decision.kind === "principal" ? "principal" : decision.reason;
}

/** Asks until the answer comes from memory. */
async function untilKept(authority: Authority, key: string): Promise<Decision> {
  let decision = await authority.authenticate(key, charges);
  await expect
    .poll(async () => {
      decision = await authority.authenticate(key, charges);
      return decision.source;
    })
    .toBe("cache");
  return decision;
}

it("decides from memory as the authority does, and says so", async () => {
  await using server = await AuthorityProcess.start();
  using authority = connect(server.address, cached);
  using asking = connect(server.address, plaintext);
  const { key, token } = await authority.create({ ...restricted, expireTime: new Date(Date.now() + 600_000) });
  expect(await authority.authenticate(key, charges)).toMatchObject({ kind: "principal", source: "authority" });
  const kept = await untilKept(authority, key);
  expect(kept).toStrictEqual({ ...(await asking.authenticate(key, charges)), source: "cache" });
  expect(kept).toMatchObject({ tokenId: token.id, expireTime: token.expireTime });
  const question = { livemode: true, requiredPermissions: ["events:read"] };
  expect(await authority.authenticate(key, question)).toMatchObject({ reason: "LIVEMODE_MISMATCH", source: "cache" });
  expect(await authority.authenticate(unknownKey, charges)).toMatchObject({ source: "authority" });
  expect(await authority.authenticate(unknownKey, charges)).toMatchObject({ reason: "KEY_UNKNOWN", source: "cache" });
  await expect(authority.authenticate(key, { requiredPermissions: ["charges"] })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    field: "required_permissions",
  });
});

it("accepts no key whose revocation was answered, while others ask and others revoke", async () => {
  await using server = await AuthorityProcess.start({ THREADS: "2" });
  using gateway = connect(server.address, cached);
  using second = connect(server.address, cached);
  using service = connect(server.address, plaintext);
  const keep = await service.create(restricted);
  await untilKept(gateway, keep.key);
  await untilKept(second, keep.key);
  let hits = 0;
  let isOver = false;
  const wrong: string[] = [];
  const revoked = new Set<string>();
  const live: string[] = [];
  const ask = async (authority: Authority) => {
    while (!isOver) {
      for (const key of [keep.key, ...live.slice(-20)]) {
        const wasRevoked = revoked.has(key);
        const decision = await authority.authenticate(key, charges);
        hits += decision.source === "cache" ? 1 : 0;
        if (wasRevoked && decision.kind === "principal") {
          wrong.push(`accepted, from the ${decision.source}`);
        }
      }
      await new Promise(setImmediate);
    }
  };
  const asking = [ask(gateway), ask(second), ask(gateway)];
  for (let round = 0; round < 100; round += 1) {
    const { key, token } = await service.create(restricted);
    live.push(key);
    await Promise.all([gateway, second].map((authority) => untilKept(authority, key)));
    expect(await service.revoke(token.id)).toMatchObject({ acknowledgedCount: 2, silent: [] });
    revoked.add(key);
    const decisions = await Promise.all([gateway, second].map((authority) => authority.authenticate(key, charges)));
    expect(decisions.map(told)).toEqual(["TOKEN_REVOKED", "TOKEN_REVOKED"]);
  }
  isOver = true;
  await Promise.all(asking);
  expect(wrong).toEqual([]);
  expect(hits).toBeGreaterThan(1_000);
});

it("asks once about a key that many miss at the same time, and each of them has its own deadline", async () => {
  await using server = await AuthorityProcess.start();
  await using proxy = await SilentProxy.to(server.address);
  using authority = connect(proxy.address, cached);
  using service = connect(server.address, plaintext);
  const [first, second] = await Promise.all([service.create(restricted), service.create(restricted)]);
  await untilKept(authority, unknownKey);
  const asked = await Promise.all(Array.from({ length: 50 }, () => authority.authenticate(first.key, charges)));
  expect(asked.map(told)).toEqual(Array.from({ length: 50 }, () => "principal"));
  expect(asked.filter(({ source }) => source === "authority")).toHaveLength(1);
  // Now no answer comes: the one who asks has time, and the other two wait for that answer, each as long as they may.
  proxy.forget();
  let isOver = false;
  const asking = authority.authenticate(second.key, charges, { timeoutMs: 60_000 }).finally(() => {
    isOver = true;
  });
  const gaveUp = new AbortController();
  const waiting = [
    authority.authenticate(second.key, charges, { timeoutMs: 50 }),
    authority.authenticate(second.key, charges, { signal: gaveUp.signal }),
  ].map((call) => call.catch((error: { readonly code: string }) => error.code));
  expect(await waiting[0]).toBe("DEADLINE_EXCEEDED");
  gaveUp.abort();
  expect(await waiting[1]).toBe("CANCELLED");
  expect(isOver).toBe(false);
  authority.close();
  await expect(asking).rejects.toMatchObject({ code: "CANCELLED" });
});

it("asks itself when another one's question has failed", async () => {
  await using server = await AuthorityProcess.start();
  using authority = connect(server.address, cached);
  const { key } = await authority.create(restricted);
  await untilKept(authority, unknownKey);
  const gaveUp = new AbortController();
  const asking = authority.authenticate(key, charges, { signal: gaveUp.signal });
  const waiting = authority.authenticate(key, charges);
  gaveUp.abort();
  await expect(asking).rejects.toMatchObject({ code: "CANCELLED" });
  expect(await waiting).toMatchObject({ kind: "principal", source: "authority" });
});

it("reports what it accepted from memory, so that last uses are known", async () => {
  await using server = await AuthorityProcess.start();
  using authority = connect(server.address, cached);
  const { key, token } = await authority.create(restricted);
  // The first use that is noted is one that was decided here.
  await untilKept(authority, unknownKey);
  const from = Date.now();
  await authority.authenticate(key, charges);
  await authority.authenticate(key, charges);
  await expect.poll(async () => (await authority.get(token.id)).lastUseTime, { timeout: 20_000 }).not.toBeNull();
  expect((await authority.get(token.id)).lastUseTime?.getTime()).toBeGreaterThanOrEqual(from - 1_000);
});

it("asks as without a cache where it may not watch, and says why once", async () => {
  await using server = await AuthorityProcess.start(tlsSettings());
  const security = { ca: rigFile("ca.pem"), cert: rigFile("service.pem"), key: rigFile("service.key") };
  using authority = connect(server.address, { security, cache: { maxMiB: 1 } });
  const warned = once(process, "warning");
  await expect(authority.authenticate(unknownKey)).rejects.toMatchObject({ reason: "ROLE_NOT_ALLOWED" });
  expect(String(await warned)).toContain("ROLE_NOT_ALLOWED");
});

it("decides from memory for as long as its lease lasts when the authority is gone, and then says that nothing was decided", async () => {
  await using server = await AuthorityProcess.start();
  using authority = connect(server.address, { ...cached, authenticateTimeoutMs: 300 });
  const { key } = await authority.create(restricted);
  await untilKept(authority, key);
  await server.end("SIGKILL");
  expect(await authority.authenticate(key, charges)).toMatchObject({ kind: "principal", source: "cache" });
  let error: unknown = null;
  while (error === null) {
    const decided = await authority.authenticate(key, charges).catch((reason: unknown) => reason as Error);
    error = decided instanceof Error ? decided : null;
  }
  expect(error).toMatchObject({ name: "UndecidedError", code: "UNAVAILABLE", isMistake: false });
  await server.start();
  await expect.poll(() => authority.authenticate(key, charges).then(told, () => "undecided")).toBe("principal");
  await untilKept(authority, key);
});

it("misses no revocation of the time in which it could not hear", async () => {
  await using server = await AuthorityProcess.start();
  await using proxy = await SilentProxy.to(server.address);
  using gateway = connect(proxy.address, { ...cached, keepalive: { intervalMs: 1_000, timeoutMs: 500 } });
  using service = connect(server.address, plaintext);
  const tokens = await Promise.all([1, 2, 3].map(() => service.create(restricted)));
  for (const { key } of tokens) {
    await untilKept(gateway, key);
  }
  proxy.forget();
  const [gone, ...others] = tokens;
  if (gone === undefined) {
    throw new Error("no token was made");
  }
  // Waits for the lease of a gateway that hears nothing.
  expect(await service.revoke(gone.token.id)).toMatchObject({
    silent: [{ kind: "gateway", identity: "local", sinceTime: expect.any(Date), untilTime: null }],
    unconfirmed: [],
  });
  const asked = await gateway.authenticate(gone.key, charges).catch((reason: unknown) => reason as Error);
  expect(asked instanceof Error ? asked.name : told(asked)).not.toBe("principal");
  await expect.poll(() => gateway.authenticate(gone.key, charges).then(told, () => "undecided")).toBe("TOKEN_REVOKED");
  for (const { key } of others) {
    expect(told(await untilKept(gateway, key))).toBe("principal");
  }
});

it("gives its lease back when it is closed: a revocation waits for nobody", async () => {
  await using server = await AuthorityProcess.start();
  using service = connect(server.address, plaintext);
  const gateway = connect(server.address, cached);
  const { key, token } = await service.create(restricted);
  await untilKept(gateway, key);
  gateway.close();
  await expect(gateway.authenticate(key, charges)).rejects.toMatchObject({ code: "CANCELLED" });
  expect(await service.revoke(token.id)).toMatchObject({ acknowledgedCount: 0, silent: [] });
});

it("agrees with the authority on random questions about random keys", async () => {
  await using server = await AuthorityProcess.start();
  using authority = connect(server.address, cached);
  using asking = connect(server.address, plaintext);
  const permissions = ["charges:read", "charges:write", "events:read", "events:write", "payouts:write"];
  const types: readonly TokenType[] = ["secret", "publishable", "restricted"];
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(Math.random() * items.length)] as Item;
  const some = <Item>(items: readonly Item[]): readonly Item[] => items.filter(() => Math.random() < 0.4);
  const keys = [unknownKey, `${unknownKey.slice(0, -1)}x`];
  for (let count = 0; count < 60; count += 1) {
    const type = pick(types);
    const given = type === "restricted" ? [...new Set([pick(permissions), ...some(permissions)])] : [];
    const created = await asking.create({
      ...{ account: `acct_${count % 7}`, name: "Random", type, livemode: Math.random() < 0.5, permissions: given },
    });
    keys.push(created.key);
    if (count % 10 === 0) {
      await asking.revoke(created.token.id);
    }
  }
  await untilKept(authority, keys[5] as string);
  let hits = 0;
  const questions = Number(process.env.QUESTIONS ?? 5_000);
  for (let count = 0; count < questions; count += 50) {
    await Promise.all(
      Array.from({ length: Math.min(50, questions - count) }, async () => {
        const key = pick(keys);
        const mode = pick([{}, { livemode: true }, { livemode: false }]);
        const question = { requiredPermissions: some(permissions), allowedTypes: some(types), ...mode };
        const [ours, theirs] = await Promise.all([
          authority.authenticate(key, question),
          asking.authenticate(key, question),
        ]);
        hits += ours.source === "cache" ? 1 : 0;
        expect({ ...ours, source: "authority" }).toStrictEqual(theirs);
      }),
    );
  }
  expect(hits).toBeGreaterThan(questions / 2);
});

it("holds no key in its memory, whose token it knows", async () => {
  await using server = await AuthorityProcess.start();
  using service = connect(server.address, plaintext);
  using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-memory-"));
  const { key, token } = await service.create(restricted);
  const [keyFile, snapshot] = [join(scratch.path, "key"), join(scratch.path, "heap.heapsnapshot")];
  writeFileSync(keyFile, key, { mode: 0o600 });
  const program = join(import.meta.dirname, "support/remembering-program.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--expose-gc",
    program,
    server.address,
    keyFile,
    snapshot,
  ]);
  expect(stdout).toBe("principal cache\n");
  const heap = readFileSync(snapshot, "latin1");
  expect(heap.includes(token.id)).toBe(true);
  // Its secret part, the whole of it and the half.
  expect([key, key.slice(8, 24), key.slice(24, 40)].map((part) => heap.includes(part))).toEqual([false, false, false]);
});

it("takes no more memory than it may, and an address without an authority costs it nothing", async () => {
  for (const maxMiB of [0, -1, Number.NaN, 1e9]) {
    expect(() => connect("127.0.0.1:1", { ...plaintext, cache: { maxMiB } })).toThrow("cache.maxMiB");
  }
  const mute = createServer().listen(0, "127.0.0.1");
  await once(mute, "listening");
  const { port } = mute.address() as AddressInfo;
  using authority = connect(`127.0.0.1:${port}`, { ...cached, authenticateTimeoutMs: 300 });
  await expect(authority.authenticate(unknownKey)).rejects.toMatchObject({ name: "UndecidedError" });
  mute.close();
});
