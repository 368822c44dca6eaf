/**
 * @typedef {object} Token
 * @property {string} id
 * @property {string} account
 * @property {string} name
 * @property {string} type
 * @property {boolean} [livemode]
 * @property {string} keyPrefix
 * @property {string} keyHint
 * @property {readonly string[]} [permissions]
 * @property {string} state
 * @property {string} createTime
 * @property {string} [expireTime]
 * @property {string} [lastUseTime]
 * @property {string} [revokeTime]
 * @property {string} [revokeReason]
 * @property {string} createdBy
 * @property {readonly Key[]} [keys] Those that live first, each newest first.
 * @property {boolean} [held]
 * @property {string} [accountState]
 */
/**
 * @typedef {object} Key
 * @property {string} hint
 * @property {string} issueTime
 * @property {string} [endTime]
 * @property {string} [lastUseTime]
 */
/**
 * @typedef {object} Change
 * @property {string} revision
 * @property {string} action
 * @property {string} [tokenId]
 * @property {string} caller
 * @property {string} changeTime
 * @property {string} hash Base64.
 * @property {string} [account]
 * @property {string} [tokenName]
 * @property {string} [reason]
 */
/**
 * @typedef {object} Account
 * @property {string} account
 * @property {number} [activeCount]
 * @property {number} [expiredCount]
 * @property {number} [revokedCount]
 * @property {string} [state]
 */
/**
 * What each RPC answers. Proto's JSON leaves out what is empty.
 *
 * @typedef {object} Answers
 * @property {{ readonly token: Token, readonly key?: string, readonly revision: string }} Create
 * @property {{ readonly token: Token }} Get
 * @property {{ readonly tokens?: readonly Token[], readonly nextPageToken?: string, readonly previousPageToken?: string }} List
 * @property {{ readonly token: Token, readonly revision: string } & Settlement} Revoke
 * @property {{ readonly token: Token, readonly key?: string, readonly revision: string } & Settlement} RotateKey
 * @property {{ readonly token: Token, readonly revision: string } & Settlement} EndRotation
 * @property {{ readonly token?: Token, readonly account?: Account, readonly revision?: string } & Settlement} SetHold
 * @property {{ readonly account: Account, readonly revision: string } & Settlement} CloseAccount
 * @property {{ readonly matched?: number, readonly sampleIds?: readonly string[], readonly upToRevision?: string, readonly revoked?: number, readonly done?: boolean } & Settlement} RevokeTokens
 * @property {{ readonly token: Token }} FindByDigest
 * @property {{ readonly changes?: readonly Change[], readonly nextPageToken?: string }} ListChanges
 * @property {{ readonly accounts?: readonly Account[], readonly nextPageToken?: string }} ListAccounts
 */
/** @typedef {import("./settlement.js").Settlement} Settlement */
/** @typedef {{ readonly identity: string | null, readonly role: string | null, readonly fault: string | null }} Caller */

// The authority gives up after 10 seconds by itself.
const timeoutMs = 12_000;

/** Why there is no answer to use: the authority's error, or that it could not be reached. */
export class RpcError extends Error {
  /**
   * @param {string} message
   * @param {object} more
   * @param {string} more.code Connect's, such as `not_found`; `unreachable` when nobody answered.
   * @param {string | undefined} [more.reason] The ErrorInfo's.
   * @param {Readonly<Record<string, string>> | undefined} [more.metadata]
   * @param {unknown} [more.cause]
   */
  constructor(message, { code, reason = "", metadata = {}, cause }) {
    super(message, { cause });
    this.code = code;
    this.reason = reason;
    this.metadata = metadata;
  }

  /** Whether a change may have happened all the same. */
  get isUnknown() {
    return ["unreachable", "unavailable", "deadline_exceeded", "canceled"].includes(this.code);
  }
}

/** Hears whether the authority answers at all. */
export const reachability = new EventTarget();

/**
 * Calls an RPC, over Connect's JSON.
 *
 * @template {keyof Answers} Rpc
 * @param {Rpc} rpc
 * @param {object} request
 * @param {AbortSignal} [signal]
 * @returns {Promise<Answers[Rpc]>}
 */
export function call(rpc, request, signal) {
  return ask(
    `/casapay.token.v1.TokenService/${rpc}`,
    {
      method: "POST",
      headers: { "content-type": "application/json", "connect-protocol-version": "1" },
      body: JSON.stringify(request),
    },
    signal,
  );
}

/**
 * Gets what the console itself answers.
 *
 * @param {"/caller" | "/figures"} path
 * @param {AbortSignal} [signal]
 */
export function get(path, signal) {
  return ask(path, {}, signal);
}

/**
 * @param {string} path
 * @param {RequestInit} options
 * @param {AbortSignal | undefined} signal
 */
async function ask(path, options, signal) {
  const timeout = AbortSignal.timeout(timeoutMs);
  const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  let status;
  let answer;
  try {
    const response = await fetch(path, {
      ...options,
      signal: either,
      cache: "no-store",
      referrerPolicy: "no-referrer",
    });
    status = response.status;
    answer = await response.json();
  } catch (error) {
    // A view that was left wants nothing any more.
    signal?.throwIfAborted();
    reachability.dispatchEvent(new Event("lost"));
    throw new RpcError("the authority does not answer", { code: "unreachable", cause: error });
  }
  reachability.dispatchEvent(new Event("answered"));
  if (status !== 200) {
    throw errorIn(answer);
  }
  return answer;
}

/** @param {{ readonly code?: string, readonly message?: string, readonly details?: readonly { readonly debug?: { readonly reason?: string, readonly metadata?: Record<string, string> } }[] }} answer */
function errorIn({ code = "unknown", message = "", details = [] }) {
  const info = details[0]?.debug ?? {};
  return new RpcError(message, { code, reason: info.reason, metadata: info.metadata });
}
