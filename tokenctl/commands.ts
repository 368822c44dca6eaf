import { hash, randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Authority, AuthorityError, CreatedToken } from "../clients/typescript/src/index.ts";
import { keysIn } from "./keys.ts";
import { type Answer, confirm, readInput, textOf } from "./terminal.ts";
import { type parseUsage, refuse, timeOf } from "./usage.ts";

/** A command that was called. */
export type Call = ReturnType<typeof parseUsage> & { readonly isJson: boolean; readonly authority: Authority };

/** For what looks at every token, and what waits for an authority that starts again. */
const longCall = { timeoutMs: 60_000 };

/** By name. Each answers what is shown; manual.txt says what it takes and does. */
export const commands: Readonly<Record<string, (call: Call) => Answer>> = {
  async *whose({ authority }) {
    const keys = keysIn(await readInput());
    const orNull = (error: AuthorityError) => (error.reason === "TOKEN_NOT_FOUND" ? null : Promise.reject(error));
    let knownCount = 0;
    for (const key of keys) {
      const token = await authority.findByDigest(hash("sha256", key, "buffer")).catch(orNull);
      knownCount += token === null ? 0 : 1;
      yield { key: `${key.slice(0, 8)}…${key.slice(-4)}`, isKnown: token !== null, token };
    }
    if (keys.length === 0 || knownCount < keys.length) {
      throw new Error(`the input has ${keys.length} whole keys, and ${knownCount} of them are known`);
    }
  },

  create(call) {
    const { account = refuse("say --account ACCOUNT"), name = refuse("say --name TEXT") } = call.options;
    const { type = refuse("say --type TYPE") } = call.options;
    return issue(call, (requestId) => call.authority.create({ ...call.options, account, name, type, requestId }));
  },

  get: ({ authority, operands: [id = ""] }) => authority.get(id),
  list: ({ authority, options }) => authority.eachToken(options),
  hold: (call) => setHold(call, true),
  release: (call) => setHold(call, false),
  revoke: ({ authority, operands: [id = ""], options }) => authority.revoke(id, options.reason),
  accounts: ({ authority, operands: [prefix = ""] }) => authority.eachAccount({ prefix }),

  expiring({ authority, options: { within = 30 * 86_400_000, ...filter } }) {
    return authority.eachToken({ ...filter, states: ["active"], expiresBefore: new Date(Date.now() + within) });
  },

  rotate(call) {
    const { overlap: overlapMs = refuse("say --overlap DISTANCE") } = call.options;
    return issue(call, (requestId) => call.authority.rotateKey(call.operands[0] ?? "", { overlapMs, requestId }));
  },

  "end-rotation"({ authority, operands: [id = "", when = ""] }) {
    const atOnce = when === "now" ? "cut" : when === "cancel" ? "cancel" : null;
    return authority.endRotation(id, atOnce ?? { moveTo: timeOf(when, 1) ?? refuse("say now, cancel or a TIME") });
  },

  async close({ authority, operands: [account = ""], options }) {
    if (!options.yes) {
      const [first] = (await authority.listAccounts({ prefix: account, pageSize: 1 })).accounts;
      console.error(textOf(first?.account === account ? first : { account, tokens: "none" }));
      await confirm("The account's name once more closes it for good: ", account, "without a terminal, say --yes");
    }
    return await authority.closeAccount(account, options.reason);
  },

  async *purge({ authority, options: { dryRun, upToRevision: counted, reason = "", ...filter } }) {
    let upToRevision = counted;
    if (dryRun || upToRevision === undefined) {
      const dry = await authority.revokeTokens(filter, {}, longCall);
      upToRevision = dry.upToRevision;
      yield { sampleIds: dry.sampleIds, upToRevision, matched: dry.matched };
      if (dryRun || dry.matched === 0) {
        return;
      }
      await confirm("Revoke them for good? Type yes: ", "yes", "without a terminal, say --up-to-revision");
    }
    for (let isOver = false; !isOver; ) {
      const bulk = { force: true, upToRevision, reason };
      const { matched, sampleIds, ...step } = await authority.revokeTokens(filter, bulk, longCall);
      yield step;
      [isOver, upToRevision] = [step.done, step.upToRevision];
    }
  },

  async *tail({ authority, operands: [tokenId = ""], options: { once = false, after, account = "" } }) {
    const newest = async () => (await authority.listChanges({ tokenId, account, pageSize: 1 })).changes[0]?.revision;
    const filter = { tokenId, account, oldestFirst: true, pageSize: 1_000 };
    let afterRevision = after ?? (once ? 0 : await newest()) ?? 0;
    for (let isLast = false; !(isLast && once); ) {
      await (isLast && delay(1_000));
      const page = await authority.listChanges({ ...filter, afterRevision }, longCall);
      yield* page.changes.map((change) => ({ ...change, hash: Buffer.from(change.hash).toString("hex") }));
      afterRevision = page.reachedRevision;
      isLast = page.nextPageToken === "";
    }
  },
};

function setHold({ authority, operands: [tokenId = ""], options: { account, reason } }: Call, held: boolean) {
  if ((account === undefined) === (tokenId === "")) {
    refuse("say the ID of a token, or --account ACCOUNT");
  }
  return authority.setHold(account === undefined ? { tokenId } : { account }, held, reason);
}

/** The key is alone on standard output, the rest for people. What brings a lost key again is told before asking. */
async function issue({ options, isJson }: Call, ask: (requestId: string) => Promise<CreatedToken>) {
  const { requestId = randomUUID(), expireTime } = options;
  // A distance from now would be another time then.
  const again = expireTime === undefined ? "" : ` --expires ${expireTime.toISOString()}`;
  const words = `The same command with --request-id ${requestId}${again} answers the same key, within 24 hours.`;
  console.error(isJson ? JSON.stringify({ requestId, expireTime }) : words);
  const { token, key, ...change } = await ask(requestId);
  if (key === "") {
    throw new Error("there is no key to show again: the token was revoked, or the key has ended");
  }
  if (!isJson) {
    console.error(`${textOf({ ...token, ...change })}\n\nThis is the key, shown this once:`);
  }
  return isJson ? { token, key, ...change } : key;
}
