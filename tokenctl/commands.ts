import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Account,
  type Authority,
  AuthorityError,
  type ChangeFilter,
  type NewToken,
  type Settlement,
  type Token,
  type TokenFilter,
} from "../clients/typescript/src/index.ts";
import { keysIn } from "./keys.ts";
import { ask, note, print, readInput, show, showAll, textOf } from "./terminal.ts";
import { ahead, back, count, distance, type Given, refuse, UsageError } from "./usage.ts";

/** The command was carried out, and the answer is no: exit code 1. */
class Refused extends Error {}

/** A command that was called. */
export type Call = { readonly given: Given; readonly isJson: boolean; readonly authority: Authority };

const tokenColumns = ["id", "account", "keyPrefix", "keyHint", "state", "held", "lastUseTime", "expireTime", "name"];
const changeColumns = ["revision", "changeTime", "action", "tokenId", "account", "caller", "reason"];
const accountColumns = ["account", "state", "activeCount", "expiredCount", "revokedCount"];
const dayMs = 86_400_000;
/** What looks at every token. */
const longCall = { timeoutMs: 60_000 };

/** By name; manual.txt says what each takes and does. */
export const commands: Readonly<Record<string, (call: Call) => Promise<void>>> = {
  async whose({ authority, isJson }) {
    const keys = keysIn(await readInput());
    let found = 0;
    for (const key of keys) {
      const token = await authority.findByDigest(createHash("sha256").update(key).digest()).catch(nullIfUnknown);
      const shown = `${key.slice(0, 8)}…${key.slice(-4)}`;
      const forPeople = token ?? { id: "no token has this key" };
      await show(isJson ? { key: shown, token } : { key: shown, ...forPeople }, isJson);
      found += token === null ? 0 : 1;
    }
    if (found < keys.length || keys.length === 0) {
      throw new Refused(keys.length === 0 ? "the input has no whole key" : `${found} of ${keys.length} keys are known`);
    }
  },

  async create(call) {
    const { given, authority } = call;
    const expireTime = given.read("expires", ahead);
    const token = {
      ...{ account: given.need("account"), name: given.need("name"), type: given.need("type") as NewToken["type"] },
      ...{ livemode: given.one("mode") === "live", permissions: given.many("permission") ?? [] },
      ...said({ expireTime }),
    };
    // A distance from now would be another time then.
    const again = expireTime === undefined ? "" : ` --expires ${expireTime.toISOString()}`;
    await showKey(call, again, async (requestId) => {
      const { token: created, key, revision } = await authority.create({ ...token, requestId });
      return { token: created, key, revision };
    });
  },

  get: async ({ authority, given, isJson }) => await show(await authority.get(given.operand), isJson),

  list: async (call) => await showTokens(call, filterOf(call.given)),

  async expiring(call) {
    const expiresBefore = new Date(Date.now() + (call.given.read("within", distance) ?? 30 * dayMs));
    await showTokens(call, { states: ["active"], expiresBefore, ...said({ account: call.given.one("account") }) });
  },

  accounts: async ({ authority, given, isJson }) =>
    await showAll(authority.eachAccount({ prefix: given.operand }), isJson, accountColumns),

  async rotate(call) {
    call.given.need("overlap");
    const overlapMs = call.given.read("overlap", distance) ?? 0;
    await showKey(call, "", (requestId) => call.authority.rotateKey(call.given.operand, { overlapMs, requestId }));
  },

  async "end-rotation"(call) {
    const [when = ""] = call.given.others;
    const atOnce = when === "now" ? "cut" : when === "cancel" ? "cancel" : null;
    const end = atOnce ?? { moveTo: ahead(when) ?? refuse("say now, cancel or a TIME: see --help") };
    await showChange(call, await call.authority.endRotation(call.given.operand, end));
  },

  hold: async (call) => await setHold(call, true),
  release: async (call) => await setHold(call, false),

  async close(call) {
    const { authority, given } = call;
    const { operand: account } = given;
    if (!given.flag("yes")) {
      const { accounts } = await authority.listAccounts({ prefix: account, pageSize: 1 });
      note(textOf(accounts.find((found) => found.account === account) ?? { account, tokens: "none" }));
      await confirm("The account's name once more closes it for good: ", account, "without a terminal, say --yes");
    }
    await showChange(call, await authority.closeAccount(account, given.one("reason")));
  },

  async purge({ authority, given, isJson }) {
    const [filter, reason] = [filterOf(given), given.one("reason") ?? ""];
    let upToRevision = given.read("up-to-revision", count);
    if (upToRevision === undefined || given.flag("dry-run")) {
      const { matched, sampleIds, ...dry } = await authority.revokeTokens(filter, {}, longCall);
      await show({ matched, upToRevision: dry.upToRevision, sampleIds }, isJson);
      if (matched === 0 || given.flag("dry-run")) {
        return;
      }
      const otherwise = "without a terminal, say --up-to-revision as --dry-run tells it";
      await confirm("Revoke them for good? Type yes: ", "yes", otherwise);
      upToRevision = dry.upToRevision;
    }
    for (let [revoked, isOver] = [0, false]; !isOver; ) {
      const step = await authority.revokeTokens(filter, { force: true, upToRevision, reason }, longCall);
      const { done, acknowledgedCount, silent, unconfirmed } = step;
      [isOver, upToRevision, revoked] = [done, step.upToRevision, revoked + step.revoked];
      await show({ revoked, done, acknowledgedCount, silent, unconfirmed }, isJson);
    }
  },

  revoke: async (call) =>
    await showChange(call, await call.authority.revoke(call.given.operand, call.given.one("reason"))),

  async tail({ authority, given, isJson }) {
    const isOnce = given.flag("once");
    const filter = said({ tokenId: given.one("token"), account: given.one("account") });
    const newest = async () => (await authority.listChanges({ pageSize: 1 })).changes[0]?.revision;
    const after = given.read("after", count) ?? (isOnce ? 0 : await newest()) ?? 0;
    await showAll(follow(authority, filter, after, isOnce), isJson, changeColumns, isOnce ? 500 : 1);
  },

  async completion() {
    const script = readFileSync(new URL("completion.bash", import.meta.url), "utf8");
    await print(script.replace("MANUAL", `'${join(import.meta.dirname, "manual.txt").replaceAll("'", "'\\''")}'`));
  },

  async version({ isJson }) {
    const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
    await show({ version, node: process.version }, isJson);
  },
};

async function setHold(call: Call, held: boolean): Promise<void> {
  const { operand: tokenId } = call.given;
  const account = call.given.one("account");
  if ((account === undefined) === (tokenId === "")) {
    refuse("say the ID of a token, or --account ACCOUNT");
  }
  const subject = account === undefined ? { tokenId } : { account };
  await showChange(call, await call.authority.setHold(subject, held, call.given.one("reason")));
}

/** What was changed, as it is now, and who decides by it. */
async function showChange(
  { isJson }: Call,
  { token, account, ...change }: { readonly token?: Token | null; readonly account?: Account | null },
): Promise<void> {
  await show({ ...(token ?? account), ...change }, isJson);
}

/** Throws unless a person types this on the terminal. `otherwise` says what to do where there is none. */
async function confirm(question: string, wanted: string, otherwise: string): Promise<void> {
  if ((await ask(question)) !== wanted) {
    throw process.stdin.isTTY ? new Refused("not confirmed: nothing was changed") : new UsageError(otherwise);
  }
}

type Issued = Partial<Settlement> & { readonly token: Token; readonly key: string; readonly revision: number };

/** The key goes to standard output alone, and what else there is to know to people. `again` repeats the command. */
async function showKey(
  { given, isJson }: Call,
  again: string,
  issue: (requestId: string) => Promise<Issued>,
): Promise<void> {
  const requestId = given.one("request-id") ?? randomUUID();
  const hint = `The same command with --request-id ${requestId}${again} answers the same key, within 24 hours.`;
  const { token, key, ...change } = await issue(requestId).catch((error: unknown) => {
    if (error instanceof AuthorityError && !error.isMistake) {
      note(`There may be a new key. ${hint}`);
    }
    throw error;
  });
  if (key === "") {
    throw new Refused("there is no key to show again: the token was revoked, or the key has ended");
  }
  if (!isJson) {
    note(`${textOf({ ...token, ...change })}\n\nThis is the key, shown this once:`);
  }
  await print(isJson ? JSON.stringify({ token, key, ...change }) : key).catch((error: unknown) => {
    throw new Refused(`the key could not be written. ${hint}`, { cause: error });
  });
}

async function showTokens({ authority, isJson }: Call, filter: TokenFilter): Promise<void> {
  const tokens = authority.eachToken(filter);
  await showAll(isJson ? tokens : withHolds(tokens), isJson, tokenColumns);
}

/** With what stands against the token, its own or its account's, in one column. */
async function* withHolds(tokens: AsyncIterable<Token>) {
  for await (const token of tokens) {
    yield { ...token, held: token.accountState === "active" ? token.held : `account ${token.accountState}` };
  }
}

function filterOf(given: Given): TokenFilter {
  const isFirst = (name: string, first: string) =>
    given.one(name) === undefined ? undefined : given.one(name) === first;
  return said({
    account: given.one("account"),
    types: given.many("type") as TokenFilter["types"],
    states: given.many("state") as TokenFilter["states"],
    livemode: isFirst("mode", "live"),
    permission: given.one("permission"),
    createdFrom: given.read("created-from", back),
    createdBefore: given.read("created-before", back),
    expiresFrom: given.read("expires-from", ahead),
    expiresBefore: given.read("expires-before", ahead),
    unusedSince: given.read("unused-since", back),
    nameContains: given.one("name"),
    keyHint: given.one("hint"),
    createdBy: given.one("created-by"),
    held: isFirst("held", "yes"),
    rotating: isFirst("rotating", "yes"),
  });
}

/** Changes after this one. Goes on when the authority does not answer, and at the end, unless it is asked once. */
async function* follow(authority: Authority, filter: ChangeFilter, after: number, isOnce: boolean) {
  let isLast = false;
  for (let afterRevision = after; !(isOnce && isLast); ) {
    try {
      const page = await authority.listChanges({ ...filter, afterRevision, oldestFirst: true, pageSize: 1_000 });
      for (const { hash, ...change } of page.changes) {
        yield { ...change, hash: Buffer.from(hash).toString("hex") };
      }
      afterRevision = page.reachedRevision;
      isLast = page.nextPageToken === "";
    } catch (error) {
      if (isOnce || !(error instanceof AuthorityError) || error.isMistake) {
        throw error;
      }
      note(`tokenctl: ${error.message}: asking again`);
    }
    await (isLast && !isOnce && delay(1_000));
  }
}

/** Without what was not said. */
function said<Facts extends object>(facts: Facts): { [Name in keyof Facts]?: Exclude<Facts[Name], undefined> } {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as never;
}

function nullIfUnknown(error: unknown): null {
  if (error instanceof AuthorityError && error.reason === "TOKEN_NOT_FOUND") {
    return null;
  }
  throw error;
}
