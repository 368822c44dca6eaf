// What a grace gives, and what it costs: a node that is cut off from the database, the gateway behind it, and all that
// tell the price.
import { mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { connect } from "../../../clients/typescript/src/index.ts";
import { runTokenctl, writeProfile } from "../../tokenctl/run-tokenctl.ts";
import type { Postgres } from "../support/postgres.ts";
import { copyTokens, startTokens, urlOf } from "./databases.ts";
import { openGate } from "./gate.ts";
import { makeSealingSecret, NodeProcess } from "./node-process.ts";

let server: Postgres;
const scratch = mkdtempDisposableSync(`${tmpdir()}/token-authority-grace-`);
const graceMs = 600_000;

beforeAll(async () => {
  server = await startTokens();
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  scratch.remove();
});

it("a gateway behind a node in grace gets decisions, and every door tells the price of what it takes away", async () => {
  await copyTokens(server, "grace");
  await using gate = await openGate(server.port);
  const [url, secret] = [urlOf(server, "grace"), makeSealingSecret(scratch.path)];
  const behindGate = url.replace(`:${server.port}/`, `:${gate.port}/`);
  expect(behindGate).not.toBe(url);
  await using whole = new NodeProcess(url, secret, { TOKEN_AUTHORITY_NODE_NAME: "node-1" });
  await using cutOff = new NodeProcess(behindGate, secret, {
    TOKEN_AUTHORITY_NODE_NAME: "node-2",
    TOKEN_AUTHORITY_THREADS: "1",
    TOKEN_AUTHORITY_GRACE_MS: String(graceMs),
  });
  const tokens = await whole.client();
  const create = async (account: string) => {
    const { key, token } = await tokens.create({ account, name: "a key", type: TokenType.SECRET });
    return { key, id: token?.id ?? "" };
  };
  const [first, second, held] = [await create("acct_1"), await create("acct_2"), await create("acct_held")];
  const [unasked, rotated] = [await create("acct_1"), await create("acct_rotated")];
  await tokens.rotateKey({ id: rotated.id, overlap: { seconds: 3600n } });
  using gateway = connect(await cutOff.address(), { security: "plaintext", cache: { maxMiB: 8 } });
  const told = async (key: string) => {
    const decision = await gateway.authenticate(key);
    return `${decision.kind === "refusal" ? decision.reason : decision.kind} from the ${decision.source}`;
  };
  for (const { key } of [first, second, held, rotated]) {
    await expect.poll(() => told(key)).toBe("principal from the cache");
  }

  gate.cut();
  // Its own lease is over, and its node still answers: a hop in place of a cache, and no outage.
  await expect.poll(() => told(first.key), { timeout: 20_000 }).toBe("principal from the authority");
  await expect(gateway.authenticate(unasked.key)).rejects.toMatchObject({ code: "UNAVAILABLE" });

  const profile = writeProfile(scratch.path, { address: await whole.address() });
  using service = connect(await whole.address(), { security: "plaintext" });
  const filter = { account: "acct_2" };
  const { upToRevision } = await service.revokeTokens(filter);
  const askedAtMs = Date.now();
  // Each waits until the leases are over: all of them together.
  const [machine, people, ...answers] = await Promise.all([
    runTokenctl(profile, ["revoke", first.id, "--json"]),
    runTokenctl(profile, ["hold", "--account", "acct_held"]),
    service.endRotation(rotated.id, "cut"),
    service.rotateKey(unasked.id),
    service.setHold({ tokenId: unasked.id }, true),
    service.closeAccount("acct_closed"),
    service.revokeTokens(filter, { force: true, upToRevision }),
  ]);
  expect(machine).toMatchObject({ exitCode: 0, stderr: "" });
  const revoked = JSON.parse(machine.stdout);
  const node = { kind: "node", identity: "node-2:1", sinceTime: null };
  expect(revoked).toMatchObject({ token: { state: "revoked" }, acknowledgedCount: 0, silent: [], unconfirmed: [node] });
  const untilMs = Date.parse(revoked.unconfirmed[0].untilTime);
  expect(untilMs).toBeGreaterThan(askedAtMs + graceMs);
  expect(untilMs).toBeLessThan(Date.now() + graceMs);
  expect(people.stdout).toMatch(/^unconfirmed +{ kind: 'node', identity: 'node-2:1', .*untilTime: \d{4}-\S+Z }$/m);
  for (const answer of answers) {
    expect(answer).toMatchObject({ unconfirmed: [{ ...node, untilTime: expect.any(Date) }] });
  }
  // This is the price.
  expect(await told(first.key)).toBe("principal from the authority");

  gate.open();
  for (const [{ key }, reason] of [
    [first, "TOKEN_REVOKED"],
    [second, "TOKEN_REVOKED"],
    [held, "ACCOUNT_HELD"],
    [rotated, "KEY_RETIRED"],
  ] as const) {
    await expect.poll(() => told(key), { timeout: 20_000 }).toMatch(reason);
  }
});
