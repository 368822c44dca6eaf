import { createSteadyClock, createTimeSeen } from "../../src/authority/clock.ts";
import { AuthorityError } from "../../src/authority/errors.ts";
import type { AuthenticateRequest } from "../../src/authority/judge.ts";
import { createLastUseRecorder } from "../../src/authority/last-use-recorder.ts";
import type { FilterRequest, ListChangesRequest, ListRequest } from "../../src/authority/lists.ts";
import type { CreateRequest, TokenAuthorityOptions } from "../../src/authority/token-authority.ts";
import { openStore, temporaryDataDirectory } from "../sqlite/store-rig.ts";
import { authorityOver } from "./authority-over.ts";

/** Who asks, unless a test says otherwise: as a plaintext caller on the machine itself. */
export const operator = { identity: "local", role: "operator" } as const;

/** The authority over a store of its own, without a wire, with a clock moved by hand. Gone when the test ends. */
export async function openAuthority({ maxTokensPerAccount = 1000, ...options }: Partial<TokenAuthorityOptions> = {}) {
  const clock = { nowMs: Date.UTC(2026, 10, 24) };
  const store = await openStore(temporaryDataDirectory());
  const lastUse = createLastUseRecorder(
    store,
    (error) => {
      throw error;
    },
    () => clock.nowMs,
  );
  const authority = authorityOver(store, {
    clock: createSteadyClock(() => clock.nowMs, createTimeSeen(0)).now,
    lastUse,
    maxTokensPerAccount,
    ...options,
  });

  return {
    ...authority,
    store,
    clock,
    /** Writes down what was noted of last uses. */
    flush: lastUse.flush,
    /** Creates a secret key, or what is said. */
    async issue(facts: Partial<CreateRequest> = {}) {
      const { token, key, revision } = await authority.create(operator, { ...aSecretKey, ...facts });
      return { token, id: token.id, key, revision };
    },
    async revoke(id: string, reason = "") {
      return await authority.revoke(operator, id, reason);
    },
    async outcomeOf(key: string, asked: Partial<AuthenticateRequest> = {}) {
      return await authority.authenticate({
        key,
        requiredPermissions: [],
        livemode: null,
        allowedTypes: [],
        ...asked,
      });
    },
    /** `principal`, or the reason of the refusal. */
    async verdictOf(key: string, asked: Partial<AuthenticateRequest> = {}) {
      const outcome = await this.outcomeOf(key, asked);
      return outcome.kind === "refusal" ? outcome.reason : outcome.kind;
    },
    listTokens: (asked: Partial<ListRequest> = {}) =>
      authority.list(operator, { pageSize: 0, pageToken: "", ...aListRequest, ...asked }),
    findChanges: (asked: Partial<ListChangesRequest> = {}) =>
      authority.listChanges(operator, { ...allChanges, ...asked }),
  };
}

export const aSecretKey: CreateRequest = {
  account: "acct_1",
  name: "a key",
  type: "secret",
  livemode: false,
  permissions: [],
  expiresAtMs: null,
  requestId: "",
};

/** Filters that every token passes. */
export const aListRequest: FilterRequest = {
  account: "",
  types: [],
  livemode: null,
  states: [],
  permission: "",
  createdFromMs: null,
  createdBeforeMs: null,
  expiresFromMs: null,
  expiresBeforeMs: null,
  unusedSinceMs: null,
  nameContains: "",
  keyHint: "",
  createdBy: "",
  held: null,
  rotating: null,
};

const allChanges: ListChangesRequest = {
  pageSize: 0,
  pageToken: "",
  tokenId: "",
  caller: "",
  action: null,
  account: "",
  changedFromMs: null,
  changedBeforeMs: null,
  afterRevision: 0,
  oldestFirst: false,
};

/** What a call is refused with, as one line: the reason, the field and the rule. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AuthorityError)) {
    throw new Error("the call was not refused", { cause: error });
  }
  return `${error.reason}: ${error.field ?? ""} ${error.rule}`;
}
