import { readFileSync } from "node:fs";
import { join } from "node:path";
import { verifyJournal } from "../../src/stores/sqlite/offline/verify-journal.ts";
import { openSqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { injectFault, startStoreProcess } from "./store-process.ts";

/** Which keys live before and after: there is nothing between. */
export const statesOfRotation = {
  rotate: ["old alone", "both"],
  endRotation: ["both", "new alone"],
} as const;

const actionOf = { rotate: "rotate_key", endRotation: "end_key" } as const;
const quietLog = { info() {}, warn() {}, error() {} };

/**
 * Kills a process with a store at the call of this kind that has this number, counted from when a rotation, or its end,
 * is asked for. Returns which keys live then, or that it was answered before. Throws when that is neither the state
 * before nor the one after, when journal or log say something else, or when an answer was not kept.
 */
export async function killedInRotation(
  directory: string,
  order: keyof typeof statesOfRotation,
  call: string,
  when: number,
): Promise<string> {
  await using child = await startStoreProcess(directory);
  const { id } = await child.ask({ do: "create" });
  if (order === "endRotation") {
    await child.ask({ do: "rotate", id });
  }
  const { revision: before } = await child.ask({ do: "stats" });
  const strace = await injectFault(child.pid, `${call}:signal=KILL:when=${when}`);
  const answer = await child.ask({ do: order, id }).catch(() => null);
  child.process.kill("SIGKILL");
  await child.exit;
  strace.kill("SIGKILL");

  await using store = await openSqliteTokenStore(directory, { minFreeBytes: 0, log: quietLog, onFatal() {} });
  const token = await store.get(String(id));
  const { revision } = store.head();
  const isDone = revision !== before;
  const state = stateOf(token?.keys.map(({ endsAtMs }) => endsAtMs) ?? [], Date.now());
  const { fault } = verifyJournal(directory, null);
  const isLogged = readFileSync(join(directory, "revocations.log"), "utf8").includes(`"action":"${actionOf[order]}"`);
  const isWhole = state === statesOfRotation[order][isDone ? 1 : 0] && fault === null && isLogged === isDone;
  if (!isWhole || (answer !== null && !isDone)) {
    const what = { state, isDone, isLogged, fault, answer };
    throw new Error(`killed at ${call} ${when} of ${order}: ${JSON.stringify(what)}`);
  }
  return answer === null ? state : "answered";
}

/** What the ends of a token's keys, newest first, say. */
function stateOf([newest, old]: readonly (number | null)[], nowMs: number): string {
  if (old === undefined) {
    return newest === null ? "old alone" : "none";
  }
  return newest !== null ? "none" : old !== null && old > nowMs ? "both" : "new alone";
}
