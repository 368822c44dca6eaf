import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Random } from "../support/random.ts";
import type { TokenClient } from "../support/token-client.ts";
import type { CreateInit, IssuedKey, Ledger } from "./ledger.ts";
import { checkVerdict } from "./verdict.ts";

const recentRounds = 2;
const oldSample = 200;
const concurrency = 32;

/**
 * After a restart: what was asked for without an answer is asked for again, and must then be as if it had been asked
 * once.
 */
export async function settle(ledger: Ledger, client: TokenClient, round: number): Promise<void> {
  const lost = ledger.lostCreates;
  ledger.lostCreates = [];
  await forEach(lost, (request) => retryCreate(ledger, client, request, round));
  await forEach(
    ledger.keys.filter(({ state }) => state === "revoking"),
    (issued) => retryRevoke(client, issued),
  );
}

async function retryCreate(ledger: Ledger, client: TokenClient, request: CreateInit, round: number): Promise<void> {
  const first = await client.call(TokenService.method.create, request);
  const second = await client.call(TokenService.method.create, request);
  ledger.count("retried");
  const id = first.token?.id ?? "";
  if (first.key === "" || second.key !== first.key || second.token?.id !== id) {
    ledger.fault("after a restart", `two retries of one create answered ${id} and ${second.token?.id}, or another key`);
  }
  const { tokens } = await client.call(TokenService.method.list, { account: request.account });
  if (tokens.length !== 1) {
    ledger.fault("after a restart", `a retried create has made ${tokens.length} tokens`);
  }
  ledger.keys.push({ id, key: first.key, request, state: "live", round });
}

async function retryRevoke(client: TokenClient, issued: IssuedKey): Promise<void> {
  await client.call(TokenService.method.revoke, { id: issued.id, reason: "again" });
  issued.state = "revoked";
}

/** Every key that changed lately, and a sample of the others. */
export async function verifyRecent(recently: {
  readonly ledger: Ledger;
  readonly client: TokenClient;
  readonly random: Random;
  readonly round: number;
}): Promise<void> {
  const { ledger, client, random } = recently;
  const recent = ledger.keys.filter(({ round }) => round >= recently.round - recentRounds);
  const old = ledger.keys.length === 0 ? [] : Array.from({ length: oldSample }, () => random.pick(ledger.keys));
  await forEach([...recent, ...old], (issued) => verify(ledger, client, issued));
  await forEach(recent.slice(-oldSample), (issued) => verifyReplay(ledger, client, issued));
}

export async function verifyAll(ledger: Ledger, client: TokenClient): Promise<void> {
  await forEach(ledger.keys, (issued) => verify(ledger, client, issued));
}

async function verify(ledger: Ledger, client: TokenClient, issued: IssuedKey): Promise<void> {
  const { outcome } = await client.call(TokenService.method.authenticate, { key: issued.key });
  ledger.count("authenticated");
  checkVerdict(ledger, issued, issued.state, outcome, "after a restart");
}

/** A create that was answered answers the same again, but for the key once it is revoked. */
async function verifyReplay(ledger: Ledger, client: TokenClient, issued: IssuedKey): Promise<void> {
  if (issued.request.requestId === "") {
    return;
  }
  const { token, key } = await client.call(TokenService.method.create, issued.request);
  if (token?.id !== issued.id || key !== (issued.state === "revoked" ? "" : issued.key)) {
    ledger.fault(
      "after a restart",
      `the replay of ${issued.id}, ${issued.state}, answered ${token?.id} or another key`,
    );
  }
}

async function forEach<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      // The workers share one iterator: each takes the next item that none has taken.
      for (const item of rest) {
        await act(item);
      }
    }),
  );
}
