import { randomUUID } from "node:crypto";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Random } from "../support/random.ts";
import type { TokenClient } from "../support/token-client.ts";
import type { CreateInit, IssuedKey, Ledger } from "./ledger.ts";
import { checkVerdict } from "./verdict.ts";

const concurrency = 24;

export type Load = {
  readonly ledger: Ledger;
  readonly client: TokenClient;
  readonly random: Random;
  readonly round: number;
  readonly isOver: () => boolean;
};

/** Creates, revokes and authenticates from all sides, until it is over and every call has ended. */
export async function runLoad(load: Load): Promise<void> {
  await Promise.all(Array.from({ length: concurrency }, () => work(load)));
}

async function work(load: Load): Promise<void> {
  while (!load.isOver()) {
    const choice = load.random.below(100);
    try {
      if (choice < 50 || load.ledger.keys.length === 0) {
        await createOne(load);
      } else if (choice < 70) {
        await revokeOne(load);
      } else {
        await authenticateOne(load);
      }
    } catch (error) {
      if (!load.isOver()) {
        load.ledger.fault("under load", String(error));
        return;
      }
    }
  }
}

async function createOne({ ledger, client, random, round }: Load): Promise<void> {
  const request: CreateInit = {
    // An account of its own, so that a list tells how many tokens a create has made.
    account: `r${round}_${randomUUID()}`,
    name: "crash",
    type: TokenType.RESTRICTED,
    permissions: ["crashes:read"],
    requestId: random.chance(0.5) ? randomUUID() : "",
  };
  try {
    const { token, key } = await client.call(TokenService.method.create, request);
    ledger.count("created");
    ledger.keys.push({ id: token?.id ?? "", key, request, state: "live", round });
  } catch (error) {
    if (request.requestId !== "") {
      ledger.lostCreates.push(request);
    }
    throw error;
  }
}

async function revokeOne({ ledger, client, random, round }: Load): Promise<void> {
  const issued = random.pick(ledger.keys);
  if (issued.state !== "live") {
    return;
  }
  issued.state = "revoking";
  issued.round = round;
  await client.call(TokenService.method.revoke, { id: issued.id, reason: `round ${round}` });
  issued.state = "revoked";
  ledger.answeredRevocations.push(issued.id);
  ledger.count("revoked");
}

async function authenticateOne({ ledger, client, random }: Load): Promise<void> {
  const issued: IssuedKey = random.pick(ledger.keys);
  const before = issued.state;
  const { outcome } = await client.call(TokenService.method.authenticate, { key: issued.key });
  ledger.count("authenticated");
  // A revocation that came in between makes both verdicts right.
  checkVerdict(ledger, issued, before === issued.state ? before : "revoking", outcome, "under load");
}
