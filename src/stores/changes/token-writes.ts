import { undecided } from "../../authority/errors.ts";
import type { TokenWrites } from "../../authority/token-store.ts";
import type { BackgroundCall, ChangeAnswer, ChangeCall, Done } from "./change-call.ts";

/** Does the call, whole or not at all. Rejects with UNDECIDED when it could not, or when the outcome is unknown. */
export type Ask = (call: ChangeCall | BackgroundCall) => Promise<ChangeAnswer | Done>;

/** Each write is one call. */
export function createTokenWrites(ask: Ask): TokenWrites {
  return {
    async create(token, request, maxLiveTokens, context) {
      const answer = await ask({ method: "create", token, request, maxLiveTokens, context });
      return answer.method === "create" ? answer.outcome : misanswered(answer);
    },
    async revoke(id, reason, context) {
      const answer = await ask({ method: "revoke", id, reason, context });
      return answer.method === "revoke" ? answer.outcome : misanswered(answer);
    },
    async revokeMatching(createRevisions, filter, reason, context) {
      const answer = await ask({ method: "revokeMatching", createRevisions, filter, reason, context });
      return answer.method === "revokeMatching" ? answer.changes : misanswered(answer);
    },
    async rotateKey(id, key, overlapMs, request, context) {
      const answer = await ask({ method: "rotateKey", id, key, overlapMs, request, context });
      return answer.method === "rotateKey" ? answer.outcome : misanswered(answer);
    },
    async endRotation(id, end, context) {
      const answer = await ask({ method: "endRotation", id, end, context });
      return answer.method === "endRotation" ? answer.outcome : misanswered(answer);
    },
    async setHold(subject, held, reason, context) {
      const answer = await ask({ method: "setHold", subject, held, reason, context });
      return answer.method === "setHold" ? answer.outcome : misanswered(answer);
    },
    async closeAccount(account, reason, context) {
      const answer = await ask({ method: "closeAccount", account, reason, context });
      return answer.method === "closeAccount" ? answer.outcome : misanswered(answer);
    },
    async recordUses(uses) {
      await ask({ method: "recordUses", uses });
    },
    async forgetRequests(nowMs) {
      await ask({ method: "forgetRequests", nowMs });
    },
  };
}

function misanswered(answer: ChangeAnswer | Done): never {
  throw undecided(new Error(`the store answered something else: ${answer.method}`));
}
