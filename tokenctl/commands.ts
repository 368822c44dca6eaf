import { createHash, randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Authority,
  AuthorityError,
  type ChangeFilter,
  type CreatedToken,
  type NewToken,
  type TokenFilter,
} from "../clients/typescript/src/index.ts";
import { keysIn } from "./keys.ts";
import { note, print, readInput, show, showAll, textOf } from "./terminal.ts";
import { count, distance, type Given, manual, optionsOf, timeReader } from "./usage.ts";

/** The command was carried out, and the answer is no: exit code 1. */
class Refused extends Error {}

/** A command that was called. */
export type Call = { readonly given: Given; readonly isJson: boolean; readonly authority: Authority };

const tokenColumns = ["id", "account", "keyPrefix", "keyHint", "state", "lastUseTime", "expireTime", "name"];
const changeColumns = ["revision", "changeTime", "action", "tokenId", "account", "caller", "reason"];
const accountColumns = ["account", "activeCount", "expiredCount", "revokedCount"];
const dayMs = 86_400_000;

/** By name; manual.txt says what each takes and does. */
export const commands: Readonly<Record<string, (call: Call) => Promise<void>>> = {
  async whose({ authority, isJson }) {
    const keys = keysIn(await readInput());
    let found = 0;
    for (const key of keys) {
      const token = await authority.findByDigest(createHash("sha256").update(key).digest()).catch(nullIfUnknown);
      const shown = `${key.slice(0, 8)}…${key.slice(-4)}`;
      await show(
        isJson ? { key: shown, token } : { key: shown, ...(token ?? { id: "no token has this key" }) },
        isJson,
      );
      found += token === null ? 0 : 1;
    }
    if (found < keys.length || keys.length === 0) {
      throw new Refused(keys.length === 0 ? "the input has no whole key" : `${found} of ${keys.length} keys are known`);
    }
  },

  async create(call) {
    const { given, authority } = call;
    const expireTime = given.read("expires", timeReader(1));
    const token = {
      ...{ account: given.need("account"), name: given.need("name"), type: given.need("type") as NewToken["type"] },
      ...{ livemode: given.one("mode") === "live", permissions: given.many("permission") ?? [] },
      ...said({ expireTime }),
    };
    // A distance from now would be another time then.
    const again = expireTime === undefined ? "" : ` --expires ${expireTime.toISOString()}`;
    await showKey(call, (requestId) => authority.create({ ...token, requestId }), again);
  },

  get: async ({ authority, given, isJson }) => await show(await authority.get(given.operand), isJson),

  list: async ({ authority, given, isJson }) =>
    await showAll(authority.eachToken(filterOf(given)), isJson, tokenColumns),

  async expiring({ authority, given, isJson }) {
    const expiresBefore = new Date(Date.now() + (given.read("within", distance) ?? 30 * dayMs));
    const filter = { states: ["active"], expiresBefore, ...said({ account: given.one("account") }) } as const;
    await showAll(authority.eachToken(filter), isJson, tokenColumns);
  },

  accounts: async ({ authority, given, isJson }) =>
    await showAll(authority.eachAccount({ prefix: given.operand }), isJson, accountColumns),

  async revoke({ authority, given, isJson }) {
    const { token, revision } = await authority.revoke(given.operand, given.one("reason"));
    await show({ ...token, revision }, isJson);
  },

  async tail({ authority, given, isJson }) {
    const isOnce = given.flag("once");
    const filter = said({ tokenId: given.one("token"), account: given.one("account") });
    const newest = async () => (await authority.listChanges({ pageSize: 1 })).changes[0]?.revision;
    const after = given.read("after", count) ?? (isOnce ? 0 : await newest()) ?? 0;
    await showAll(follow(authority, filter, after, isOnce), isJson, changeColumns, isOnce ? 500 : 1);
  },

  completion: async () => await print(completion()),
};

/** The key goes to standard output alone, and what else there is to know to people. `again` repeats the command. */
async function showKey(
  { given, isJson }: Call,
  issue: (requestId: string) => Promise<CreatedToken>,
  again = "",
): Promise<void> {
  const requestId = given.one("request-id") ?? randomUUID();
  const hint = `The same command with --request-id ${requestId}${again} answers the same key, within 24 hours.`;
  const { token, key, revision } = await issue(requestId).catch((error: unknown) => {
    if (error instanceof AuthorityError && !error.isMistake) {
      note(`There may be a new key. ${hint}`);
    }
    throw error;
  });
  if (!isJson) {
    note(`${textOf({ ...token, revision })}\n\nThis is the key, shown this once:`);
  }
  await print(isJson ? JSON.stringify({ token, key, revision }) : key).catch((error: unknown) => {
    throw new Refused(`the key could not be written. ${hint}`, { cause: error });
  });
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
    createdFrom: given.read("created-from", timeReader(-1)),
    createdBefore: given.read("created-before", timeReader(-1)),
    expiresFrom: given.read("expires-from", timeReader(1)),
    expiresBefore: given.read("expires-before", timeReader(1)),
    unusedSince: given.read("unused-since", timeReader(-1)),
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

function completion(): string {
  const options = [...manual].map(([name, text]) => [name, optionsOf(text)] as const);
  const cases = options.map(([name, known]) => `    ${name}) words="--${[...known.keys()].join(" --")}" ;;`);
  const choices = new Map(options.flatMap(([, known]) => [...known]).filter(([, value]) => value.includes("|")));
  const values = [...choices].map(([name, value]) => `    --${name}) words="${value.replaceAll("|", " ")}" ;;`);
  return `_tokenctl() {
  local words="${[...manual.keys()].join(" ")}"
  [ "$COMP_CWORD" -gt 1 ] && case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
${values.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _tokenctl tokenctl`;
}
