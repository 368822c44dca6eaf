import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type {
  AuthenticateRequest as AuthenticateRequestMessage,
  AuthenticateResponse,
  CloseAccountRequest,
  CloseAccountResponseSchema,
  CreateRequest,
  CreateResponseSchema,
  EndRotationRequest,
  EndRotationResponseSchema,
  FindByDigestRequest,
  FindByDigestResponseSchema,
  GetRequest,
  GetResponseSchema,
  ListAccountsRequest,
  ListAccountsResponseSchema,
  ListChangesRequest,
  ListChangesResponseSchema,
  ListRequest,
  ListResponseSchema,
  RevokeRequest,
  RevokeResponseSchema,
  RevokeTokensRequest,
  RevokeTokensResponseSchema,
  RotateKeyRequest,
  RotateKeyResponseSchema,
  SetHoldRequest,
  SetHoldResponseSchema,
  TokenService,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import { isForCache } from "../../authority/cache-decision.ts";
import type { Clock } from "../../authority/clock.ts";
import type { Settlement } from "../../authority/freshness.ts";
import type { TokenAuthority } from "../../authority/token-authority.ts";
import { type Call, callerOf } from "../../calls/call.ts";
import { callOf } from "./connect/passage.ts";
import { toDuration } from "./duration.ts";
import {
  fromAuthenticateRequest,
  fromCreateRequest,
  fromEndRotationRequest,
  fromListChangesRequest,
  fromListRequest,
  fromRevokeTokensRequest,
  fromRotateKeyRequest,
  fromSubject,
} from "./from-message.ts";
import { toAccountMessage, toAuthenticateResponse, toChangeMessage, toTokenMessage } from "./to-message.ts";
import { type createWatchMethod, toHolderMessage } from "./watch-service.ts";

/**
 * The RPCs of TokenService from message to message, whatever carries them: each translates, asks the authority, and
 * translates back.
 */
export type TokenMethods = ReturnType<typeof createTokenMethods>;

export function createTokenMethods(authority: TokenAuthority, clock: Clock) {
  return {
    async create(request: CreateRequest, call: Call): Promise<MessageInitShape<typeof CreateResponseSchema>> {
      const { token, key, revision } = await authority.create(callerOf(call), fromCreateRequest(request));
      call.tokenId = token.id;
      call.revision = revision;
      return { token: toTokenMessage(token, clock()), key, revision: BigInt(revision) };
    },

    async get({ id }: GetRequest, call: Call): Promise<MessageInitShape<typeof GetResponseSchema>> {
      const token = await authority.get(id);
      call.tokenId = token.id;
      return { token: toTokenMessage(token, clock()) };
    },

    async list(request: ListRequest, call: Call): Promise<MessageInitShape<typeof ListResponseSchema>> {
      const answer = await authority.list(callerOf(call), fromListRequest(request));
      const nowMs = clock();
      return {
        tokens: answer.tokens.map((token) => toTokenMessage(token, nowMs)),
        nextPageToken: answer.nextPageToken,
        previousPageToken: answer.previousPageToken,
      };
    },

    async revoke({ id, reason }: RevokeRequest, call: Call): Promise<MessageInitShape<typeof RevokeResponseSchema>> {
      const { token, revision, settlement } = await authority.revoke(callerOf(call), id, reason);
      call.tokenId = token.id;
      call.revision = revision;
      return { token: toTokenMessage(token, clock()), revision: BigInt(revision), ...toHolderMessages(settlement) };
    },

    async rotateKey(request: RotateKeyRequest, call: Call): Promise<MessageInitShape<typeof RotateKeyResponseSchema>> {
      const rotated = await authority.rotateKey(callerOf(call), fromRotateKeyRequest(request));
      const { token, key, revision, settlement } = rotated;
      call.tokenId = token.id;
      call.revision = revision;
      const holders = toHolderMessages(settlement);
      return { token: toTokenMessage(token, clock()), key, revision: BigInt(revision), ...holders };
    },

    async endRotation(
      request: EndRotationRequest,
      call: Call,
    ): Promise<MessageInitShape<typeof EndRotationResponseSchema>> {
      const end = fromEndRotationRequest(request);
      const { token, revision, settlement } = await authority.endRotation(callerOf(call), request.id, end);
      call.tokenId = token.id;
      call.revision = revision;
      return { token: toTokenMessage(token, clock()), revision: BigInt(revision), ...toHolderMessages(settlement) };
    },

    async setHold(request: SetHoldRequest, call: Call): Promise<MessageInitShape<typeof SetHoldResponseSchema>> {
      const { held, reason } = request;
      const answer = await authority.setHold(callerOf(call), fromSubject(request), held, reason);
      const { subject, revision } = answer;
      call.revision = revision;
      const settled = { revision: BigInt(revision), ...toHolderMessages(answer.settlement) };
      if ("id" in subject) {
        call.tokenId = subject.id;
        return { subject: { case: "token", value: toTokenMessage(subject, clock()) }, ...settled };
      }
      return { subject: { case: "account", value: toAccountMessage(subject) }, ...settled };
    },

    async closeAccount(
      { account, reason }: CloseAccountRequest,
      call: Call,
    ): Promise<MessageInitShape<typeof CloseAccountResponseSchema>> {
      const closed = await authority.closeAccount(callerOf(call), account, reason);
      call.revision = closed.revision;
      const holders = toHolderMessages(closed.settlement);
      return { account: toAccountMessage(closed.account), revision: BigInt(closed.revision), ...holders };
    },

    async revokeTokens(
      request: RevokeTokensRequest,
      call: Call,
      signal: AbortSignal,
    ): Promise<MessageInitShape<typeof RevokeTokensResponseSchema>> {
      const answer = await authority.revokeTokens(callerOf(call), fromRevokeTokensRequest(request), signal);
      const { matched, sampleIds, upToRevision, revoked, done, revision } = answer;
      call.revision = revision;
      const counted = { matched, sampleIds: [...sampleIds], upToRevision: BigInt(upToRevision) };
      return { ...counted, revoked, done, ...toHolderMessages(answer.settlement) };
    },

    async findByDigest(
      { digest }: FindByDigestRequest,
      call: Call,
    ): Promise<MessageInitShape<typeof FindByDigestResponseSchema>> {
      const token = await authority.findByDigest(digest);
      call.tokenId = token.id;
      return { token: toTokenMessage(token, clock()) };
    },

    async listChanges(
      request: ListChangesRequest,
      call: Call,
    ): Promise<MessageInitShape<typeof ListChangesResponseSchema>> {
      const answer = await authority.listChanges(callerOf(call), fromListChangesRequest(request));
      call.tokenId = request.tokenId === "" ? null : request.tokenId;
      return {
        changes: answer.changes.map(toChangeMessage),
        nextPageToken: answer.nextPageToken,
        reachedRevision: BigInt(answer.reachedRevision ?? 0),
      };
    },

    async listAccounts({
      pageSize,
      pageToken,
      prefix,
    }: ListAccountsRequest): Promise<MessageInitShape<typeof ListAccountsResponseSchema>> {
      const answer = await authority.listAccounts({ pageSize, pageToken, prefix });
      return { accounts: answer.accounts.map(toAccountMessage), nextPageToken: answer.nextPageToken };
    },

    async authenticate(request: AuthenticateRequestMessage, call: Call): Promise<AuthenticateResponse> {
      const question = fromAuthenticateRequest(request);
      const decision = isForCache(question)
        ? await authority.authenticateForCache(question)
        : { outcome: await authority.authenticate(question) };
      const { outcome } = decision;
      call.tokenId = outcome.token?.id ?? null;
      call.refusal = outcome.kind === "refusal" ? outcome.reason : null;
      const response = toAuthenticateResponse(outcome);
      if ("revision" in decision && question.cacheRules > 0) {
        response.revision = BigInt(decision.revision);
        if (decision.cacheForMs !== null) {
          response.cacheFor = toDuration(decision.cacheForMs);
        }
      }
      return response;
    },
  };
}

/** What became of the holders of leases, as every answer has it that waited for them. */
function toHolderMessages({ acknowledged, silent, unconfirmed }: Settlement) {
  return {
    silent: silent.map(toHolderMessage),
    unconfirmed: unconfirmed.map(toHolderMessage),
    acknowledgedCount: acknowledged,
  };
}

/** TokenService on Connect's handlers. */
export function createTokenService(
  methods: TokenMethods,
  watch: ReturnType<typeof createWatchMethod>,
): ServiceImpl<typeof TokenService> {
  return {
    watch,
    create: (request, { values }) => methods.create(request, callOf(values)),
    get: (request, { values }) => methods.get(request, callOf(values)),
    list: (request, { values }) => methods.list(request, callOf(values)),
    revoke: (request, { values }) => methods.revoke(request, callOf(values)),
    revokeTokens: (request, { values, signal }) => methods.revokeTokens(request, callOf(values), signal),
    rotateKey: (request, { values }) => methods.rotateKey(request, callOf(values)),
    endRotation: (request, { values }) => methods.endRotation(request, callOf(values)),
    setHold: (request, { values }) => methods.setHold(request, callOf(values)),
    closeAccount: (request, { values }) => methods.closeAccount(request, callOf(values)),
    findByDigest: (request, { values }) => methods.findByDigest(request, callOf(values)),
    listChanges: (request, { values }) => methods.listChanges(request, callOf(values)),
    listAccounts: (request) => methods.listAccounts(request),
    authenticate: (request, { values }) => methods.authenticate(request, callOf(values)),
  };
}
