import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { RefusalReason, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { TestServer } from "./support/test-server.ts";

type Tokens = Client<typeof TokenService>;

async function reasonOf(tokens: Tokens, key: string): Promise<RefusalReason | null> {
  const { outcome } = await tokens.authenticate({ key });
  return outcome.case === "refusal" ? outcome.value.reason : null;
}

it.each([1, 3])(
  "no answer that starts after a revocation was answered accepts the key, with %i threads",
  async (threads) => {
    await using authority = await TestServer.start({ TOKEN_AUTHORITY_THREADS: String(threads) });
    // Each is a connection of its own: the system spreads them over the threads.
    const gateways = Array.from({ length: 12 }, () => authority.tokens);
    const manager = authority.tokens;
    const metrics = await (await fetch(`http://${authority.server.adminAddress}/metrics`)).text();
    expect(metrics).toContain(`token_authority_threads ${threads}\n`);

    const wrong: string[] = [];
    for (let round = 0; round < 60; round += 1) {
      const { key, token } = await manager.create({ account: "acct_1", name: "a key", type: TokenType.SECRET });
      const known = await Promise.all(gateways.map((tokens) => reasonOf(tokens, key)));
      if (known.some((reason) => reason !== null)) {
        wrong.push(`round ${round}: a key was refused after its creation was answered`);
      }
      // Load on the key while it is revoked: whatever these answer, they must not keep it alive.
      const during = gateways.map((tokens) => reasonOf(tokens, key));
      await manager.revoke({ id: token?.id ?? "" });
      const after = await Promise.all(gateways.map((tokens) => reasonOf(tokens, key)));
      if (after.some((reason) => reason !== RefusalReason.TOKEN_REVOKED)) {
        wrong.push(`round ${round}: a key was accepted after its revocation was answered`);
      }
      await Promise.all(during);
    }
    expect(wrong).toEqual([]);
  },
  60_000,
);

it("no answer that starts after tokens were revoked by filter accepts any of their keys, on any thread", async () => {
  await using authority = await TestServer.start({ TOKEN_AUTHORITY_THREADS: "2" });
  const gateways = Array.from({ length: 8 }, () => authority.tokens);
  const manager = authority.tokens;
  const filter = { account: "acct_1" };
  for (let round = 0; round < 50; round += 1) {
    const made = await Promise.all(
      Array.from({ length: 8 }, () => manager.create({ account: "acct_1", name: "a key", type: TokenType.SECRET })),
    );
    const everywhere = () =>
      Promise.all(gateways.flatMap((tokens) => made.map(({ key }) => reasonOf(tokens, key)))).then(
        (all) => new Set(all),
      );
    expect(await everywhere()).toEqual(new Set([null]));
    const during = everywhere();
    const { upToRevision } = await manager.revokeTokens({ filter });
    expect(await manager.revokeTokens({ filter, force: true, upToRevision })).toMatchObject({
      revoked: 8,
      done: true,
    });
    expect(await everywhere()).toEqual(new Set([RefusalReason.TOKEN_REVOKED]));
    await during;
  }
}, 120_000);

it("a key that was unknown is known to every thread from the answer to its creation on", async () => {
  await using authority = await TestServer.start({ TOKEN_AUTHORITY_THREADS: "3" });
  const gateways = Array.from({ length: 12 }, () => authority.tokens);
  const { key, token } = await authority.issue();
  expect(await Promise.all(gateways.map((tokens) => reasonOf(tokens, key)))).toEqual(gateways.map(() => null));
  await authority.tokens.revoke({ id: token?.id ?? "" });
});

it("time runs back in no thread, though only the first has seen a later one", async () => {
  await using authority = await TestServer.start({ TOKEN_AUTHORITY_THREADS: "3" });
  const { key } = await authority.issue({ expireTime: authority.inSeconds(1800) });
  // The first thread's clock alone is moved by hand. On connections of their own, calls come to every thread.
  authority.clock.nowMs += 3_600_000;
  const reasons: (RefusalReason | null)[] = [];
  for (let round = 0; round < 24; round += 1) {
    reasons.push(await reasonOf(authority.tokens, key));
  }
  const seenAt = reasons.indexOf(RefusalReason.TOKEN_EXPIRED);
  expect(new Set(reasons.slice(seenAt))).toEqual(new Set([RefusalReason.TOKEN_EXPIRED]));
});

it("metrics add up what all threads did", async () => {
  await using authority = await TestServer.start({ TOKEN_AUTHORITY_THREADS: "3" });
  const gateways = Array.from({ length: 12 }, () =>
    createClient(TokenService, createGrpcTransport({ baseUrl: `http://${authority.server.address}` })),
  );
  await Promise.all(gateways.map((tokens) => tokens.authenticate({ key: "no key" })));
  const metrics = await (await fetch(`http://${authority.server.adminAddress}/metrics`)).text();
  expect(metrics).toContain(
    'rpc_server_call_duration_seconds_count{rpc_system_name="grpc",rpc_method="casapay.token.v1.TokenService/Authenticate",rpc_response_status_code="OK"} 12\n',
  );
  expect(metrics).toContain('token_authority_refusals_total{reason="KEY_MALFORMED"} 12\n');
});
