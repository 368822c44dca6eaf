import type { ChangeFilter, TokenStore } from "./token-store.ts";

const anyChange: ChangeFilter = {
  tokenId: null,
  caller: null,
  action: null,
  account: null,
  changedFromMs: null,
  changedBeforeMs: null,
  afterRevision: null,
};

/**
 * Returns the newest change that this view of the store knows of. Where a caller speaks of a later one, it reads first:
 * the caller may have been told by another machine, a moment ago.
 */
export async function newestRevision(
  store: Pick<TokenStore, "head" | "listChanges">,
  spokenOf: number,
): Promise<number> {
  const { revision } = store.head();
  if (spokenOf <= revision) {
    return revision;
  }
  const { changes } = (await store.listChanges({
    ...{ filter: anyChange, direction: "older", after: null },
    ...{ limit: 1, scanLimit: 1, maxBytes: 1 },
  })) ?? { changes: [] };
  return changes[0]?.revision ?? revision;
}
