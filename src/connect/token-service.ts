import type { ServiceImpl } from "@connectrpc/connect";
import type { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Clock } from "../authority/clock.ts";
import { AuthorityError, undecided } from "../authority/errors.ts";
import type { JournalHead } from "../authority/journal.ts";
import type { AuthenticateRequest, Outcome, TokenAuthority } from "../authority/token-authority.ts";
import { type Call, callerOf, callOf } from "./call.ts";
import { fromAuthenticateRequest, fromCreateRequest, fromListRequest } from "./from-message.ts";
import { toAccountMessage, toAuthenticateResponse, toChangeMessage, toTokenMessage } from "./to-message.ts";

/** TokenService on the wire: each method translates, asks the authority, and translates back. */
export function createTokenService(authority: TokenAuthority, clock: Clock): ServiceImpl<typeof TokenService> {
  return {
    async create(request, { values }) {
      const call = callOf(values);
      const { token, key, revision, head } = await authority.create(callerOf(call), fromCreateRequest(request));
      noteChange(call, token.id, revision, head);
      return { token: toTokenMessage(token, clock()), key, revision: BigInt(revision) };
    },

    async get({ id }, { values }) {
      const token = await authority.get(id);
      callOf(values).tokenId = token.id;
      return { token: toTokenMessage(token, clock()) };
    },

    async list(request, { values }) {
      const answer = await authority.list(callerOf(callOf(values)), fromListRequest(request));
      const nowMs = clock();
      return {
        tokens: answer.tokens.map((token) => toTokenMessage(token, nowMs)),
        nextPageToken: answer.nextPageToken,
        previousPageToken: answer.previousPageToken,
      };
    },

    async revoke({ id, reason }, { values }) {
      const call = callOf(values);
      const { token, revision, head } = await authority.revoke(callerOf(call), id, reason);
      noteChange(call, token.id, revision, head);
      return { token: toTokenMessage(token, clock()), revision: BigInt(revision) };
    },

    async findByDigest({ digest }, { values }) {
      const token = await authority.findByDigest(digest);
      callOf(values).tokenId = token.id;
      return { token: toTokenMessage(token, clock()) };
    },

    async listChanges({ pageSize, pageToken, tokenId }, { values }) {
      const call = callOf(values);
      const answer = await authority.listChanges(callerOf(call), { pageSize, pageToken, tokenId });
      call.tokenId = tokenId === "" ? null : tokenId;
      return { changes: answer.changes.map(toChangeMessage), nextPageToken: answer.nextPageToken };
    },

    async listAccounts({ pageSize, pageToken, prefix }) {
      const answer = await authority.listAccounts({ pageSize, pageToken, prefix });
      return { accounts: answer.accounts.map(toAccountMessage), nextPageToken: answer.nextPageToken };
    },

    /** Hot path. */
    async authenticate(request, { values }) {
      const outcome = await decide(authority, fromAuthenticateRequest(request));
      const call = callOf(values);
      call.tokenId = outcome.token?.id ?? null;
      call.refusalReason = outcome.kind === "refusal" ? outcome.reason : null;
      return toAuthenticateResponse(outcome);
    },
  };
}

/** An outage must never look like a bad key, nor like anything but an outage. Hot path. */
async function decide(authority: TokenAuthority, request: AuthenticateRequest): Promise<Outcome> {
  try {
    return await authority.authenticate(request);
  } catch (error) {
    throw error instanceof AuthorityError ? error : undecided(error);
  }
}

function noteChange(call: Call, tokenId: string, revision: number, head: JournalHead | null): void {
  call.tokenId = tokenId;
  call.revision = revision;
  call.journalHash = head?.hash ?? null;
}
