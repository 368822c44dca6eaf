import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import {
  type AuthenticateResponse,
  TokenService,
} from "../../../clients/typescript/gen/casapay/token/v1/token_service_pb.ts";
import { attempt } from "../../../clients/typescript/src/attempts.ts";
import { machineClocks } from "../../../clients/typescript/src/cache/clocks.ts";
import { cacheRules } from "../../../clients/typescript/src/cache/decide.ts";
import { answerOf, widestQuestion } from "../../../clients/typescript/src/cache/facts.ts";
import { digestOf, type Fill, KeyCache } from "../../../clients/typescript/src/cache/key-cache.ts";
import type { Known } from "../../../clients/typescript/src/cache/known.ts";
import { QuestionsUnderWay } from "../../../clients/typescript/src/cache/questions-under-way.ts";
import { Watch } from "../../../clients/typescript/src/cache/watch.ts";
import { decisionOf } from "../../../clients/typescript/src/decision.ts";
import { AuthorityError } from "../../../clients/typescript/src/errors.ts";
import { typeCodes } from "../../../clients/typescript/src/token.ts";
import { openConnection } from "../../../clients/typescript/src/transport.ts";
import type { CacheDecision, CacheQuestion } from "../../authority/cache-decision.ts";
import { undecided } from "../../authority/errors.ts";
import { type AuthenticateRequest, judge, type Outcome, refusal } from "../../authority/judge.ts";
import { hasKeyLength, isKey } from "../../authority/key.ts";
import type { Log } from "../../machine/log.ts";
import { StartError } from "../../machine/start-error.ts";
import { outcomeOf, widestOutcome } from "./outcome.ts";

/** Where the authority is that an edge asks, and how it is reached. Can be sent to another thread. */
export type UpstreamSettings = {
  /** HOST:PORT or unix:/PATH. */
  readonly address: string;
  /** Files, which are read again for each connection; null in plaintext. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | null;
};

/** What one thread of an edge tells of its memory. Can be sent to another thread. */
export type UpstreamReadings = {
  /** Decisions from memory. */
  readonly accepted: number;
  readonly refused: number;
  /** Decisions that the authority was asked for, and those of them that had no answer. */
  readonly asked: number;
  readonly failed: number;
  /** For how long memory may be decided from, in milliseconds; 0 when not now. */
  readonly leaseLeftMs: number;
  readonly keys: number;
  /** When the certificate ends that the next connection shows, in Unix milliseconds: 0 when its file cannot be read. */
  readonly certificateEndsMs: number | null;
};

/** Decisions about keys from the memory of one thread of an edge, and from the authority that it asks. */
export type Upstream = AsyncDisposable & {
  /** Throws or rejects with UNDECIDED when the authority must be asked and does not answer. */
  authenticate(request: AuthenticateRequest): Outcome | Promise<Outcome>;
  /** What the authority answers: an edge grants no leases, so that nothing of it may be kept. */
  authenticateForCache(request: AuthenticateRequest & CacheQuestion): Promise<CacheDecision>;
  /** Whether a decision can be expected: a lease is held, or the authority answers and grants none. */
  canDecide(): boolean;
  readings(): UpstreamReadings;
};

/** An AuthenticateRequest. */
type Asked = Partial<ReturnType<typeof asMessage>> & {
  readonly key: string;
  readonly cacheRules?: number;
  readonly minRevision?: bigint;
};

// A little less than the deadline of an Authenticate.
const askTimeoutMs = 900;
const maxAsking = 10_000;
const lookEveryMs = 250;
// A first lease takes a fraction of it.
const firstLeaseMs = 2_000;
// To give the lease back, so that no revocation waits for it.
const lastWordsMs = 250;
// Measured for the key index: a token, and answers that are kept beside it.
const besideBytes = 750;
// An entry ends with its key, by the authority's clock: this machine's decides on no expiry.
const beforeEveryEndMs = Number.NEGATIVE_INFINITY;

const keyMalformed = refusal("KEY_MALFORMED", null);

/** Opens the connection to the authority, and is watched over by it from now on. Throws for settings of no sense. */
export function openUpstream({ address, tls }: UpstreamSettings, maxBytes: number, log: Log): Upstream {
  const connection = open(address, tls);
  const { transport } = connection;
  const cache = new KeyCache(maxBytes, machineClocks, besideBytes);
  const watch = new Watch({ transport, cache, clocks: machineClocks });
  connection.onLeave(() => watch.moveOn());
  const underWay = new QuestionsUnderWay();
  const counts = { accepted: 0, refused: 0, asked: 0, failed: 0 };
  let asking = 0;
  let hasLease = false;
  let firstLeaseByMs = performance.now() + firstLeaseMs;
  let isClosed = false;

  /** Memory is asked before the form: only keys are kept there. */
  function authenticate(request: AuthenticateRequest): Outcome | Promise<Outcome> {
    const { key } = request;
    if (!hasKeyLength(key)) {
      return keyMalformed;
    }
    const known = cache.find(key);
    if (known !== null) {
      return count(decide(request, known));
    }
    return isKey(key) ? ask(request) : keyMalformed;
  }

  function count(outcome: Outcome): Outcome {
    counts[outcome.kind === "principal" ? "accepted" : "refused"] += 1;
    return outcome;
  }

  function decide(request: AuthenticateRequest, known: Known): Outcome {
    const found = widestOutcome(known);
    if (found === null) {
      throw notUnderstood();
    }
    const outcome = found.kind === "principal" ? judge(request, found, beforeEveryEndMs) : found;
    if (outcome.kind === "principal") {
      cache.noteUse(known);
    }
    return outcome;
  }

  async function ask(request: AuthenticateRequest): Promise<Outcome> {
    // Without a lease nothing is kept and no use is reported: the authority decides the question itself.
    const fill = cache.beginFill(request.key);
    if (fill !== null) {
      return await askOnce(request, fill);
    }
    const response = await send(asMessage(request));
    cache.overrule(request.key);
    return outcomeIn(response);
  }

  /** While the authority is asked about a key already, that answer is waited for. */
  async function askOnce(request: AuthenticateRequest, fill: Fill): Promise<Outcome> {
    const startMs = performance.now();
    const another = underWay.wait(fill.digest, askTimeoutMs);
    if (another !== null) {
      await another;
      const known = cache.find(request.key);
      if (known !== null) {
        return count(decide(request, known));
      }
    }
    const leftMs = Math.max(askTimeoutMs - (performance.now() - startMs), 1);
    return await underWay.ask(fill.digest, () => askForFacts(request, fill, leftMs));
  }

  async function askForFacts(request: AuthenticateRequest, fill: Fill, maxMs: number): Promise<Outcome> {
    const { key } = request;
    const response = await send({ key, allowedTypes: [...widestQuestion.allowedTypes], cacheRules }, maxMs);
    const answer = answerOf(response, cache.standings);
    if (answer === null) {
      throw notUnderstood();
    }
    return decide(request, cache.keep(fill, answer));
  }

  async function authenticateForCache(request: AuthenticateRequest & CacheQuestion): Promise<CacheDecision> {
    const { cacheRules: rules, minRevision } = request;
    const response = await send({ ...asMessage(request), cacheRules: rules, minRevision: BigInt(minRevision) });
    // What is kept may be older, and this edge does not go back.
    cache.forgetKey(digestOf(request.key), Number(response.revision));
    return { outcome: outcomeIn(response), revision: Number(response.revision), cacheForMs: null };
  }

  async function send(request: Asked, timeoutMs = askTimeoutMs): Promise<AuthenticateResponse> {
    if (asking >= maxAsking) {
      throw undecided(new Error("too many keys wait for the authority's answer"));
    }
    asking += 1;
    counts.asked += 1;
    const { authenticate: method } = TokenService.method;
    const outcome = await attempt(
      async (leftMs) => (await transport.unary(method, undefined, leftMs, undefined, request)).message,
      { timeoutMs, signal: undefined, mayRepeat: true, isClosed: () => isClosed },
    ).finally(() => {
      asking -= 1;
    });
    if ("failure" in outcome) {
      counts.failed += 1;
      throw undecided(new AuthorityError(outcome.failure));
    }
    return outcome.response;
  }

  /** Notices also while nobody asks, and says so when it has changed. */
  function look(): void {
    const hadLease = hasLease;
    hasLease = cache.isHeld();
    const fields = { upstream: address, error: watch.fault };
    if (hasLease && !hadLease) {
      log.info({ upstream: address }, "keys are decided on from memory");
      firstLeaseByMs = Number.POSITIVE_INFINITY;
    } else if (hadLease && !hasLease) {
      log.warn(fields, "no lease: the authority is asked about every key");
    } else if (!hasLease && performance.now() >= firstLeaseByMs) {
      log.warn(fields, "no lease yet: the authority is asked about every key");
      firstLeaseByMs = Number.POSITIVE_INFINITY;
    }
  }

  watch.start();
  const looking = setInterval(look, lookEveryMs);
  return {
    authenticate,
    authenticateForCache,
    canDecide: () => cache.isHeld() || watch.isTurnedAway,
    readings: () => ({
      ...counts,
      leaseLeftMs: cache.heldForMs(),
      keys: cache.size,
      certificateEndsMs: tls === null ? null : endOfCertificate(tls.cert),
    }),
    async [Symbol.asyncDispose]() {
      isClosed = true;
      clearInterval(looking);
      await Promise.race([watch.close(), pause(lastWordsMs)]);
      connection.close();
    },
  };
}

/** What makes no sense is told now, and not by the first call. */
function open(address: string, tls: UpstreamSettings["tls"]): ReturnType<typeof openConnection> {
  try {
    return openConnection(address, { security: tls ?? "plaintext" });
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error);
    throw new StartError(`TOKEN_AUTHORITY_UPSTREAM and its three files cannot be used: ${fault}`, { cause: error });
  }
}

function endOfCertificate(path: string): number {
  try {
    return new X509Certificate(readFileSync(path)).validToDate.getTime();
  } catch {
    return 0;
  }
}

function outcomeIn(response: AuthenticateResponse): Outcome {
  const decision = decisionOf(response);
  const outcome = decision === null ? null : outcomeOf(decision);
  if (outcome === null) {
    throw notUnderstood();
  }
  return outcome;
}

function asMessage({ key, requiredPermissions, livemode, allowedTypes }: AuthenticateRequest) {
  return {
    key,
    requiredPermissions: [...requiredPermissions],
    ...(livemode === null ? {} : { livemode }),
    allowedTypes: allowedTypes.map((type) => typeCodes[type]),
  };
}

function notUnderstood(): Error {
  return undecided(new Error("the authority answered with something that is newer than this edge"));
}
