/** Small bugs in holds and closures, each with the tests that must go red when it is planted. */
export const plantedHolds = [
  {
    name: "a held token is accepted",
    file: "src/authority/token.ts",
    from: "  if (held) {",
    to: "  if (held && accountState === null) {",
    tests: ["test/authority/holds.test.ts", "test/holds.test.ts"],
    seenBy:
      "no door accepts a key whose token or account was held, from the answer on, and each does again once it is released",
  },
  {
    name: "a token of a held account is accepted",
    file: "src/authority/token.ts",
    from: '  return accountState === "held" ? "ACCOUNT_HELD" : null;',
    to: "  return null;",
    tests: ["test/authority/holds.test.ts", "test/holds.test.ts"],
    seenBy:
      "no door accepts a key whose token or account was held, from the answer on, and each does again once it is released",
  },
  {
    name: "a token of a closed account is accepted",
    file: "src/authority/token.ts",
    from: '  if (accountState === "closed") {',
    to: "  if (accountState === null) {",
    tests: ["test/authority/holds.test.ts", "test/holds.test.ts"],
    seenBy: "no door accepts a key of a closed account, nor one that a Create beside the closure has made",
  },
  {
    name: "a held key makes changes that were asked for before the hold",
    file: "src/authority/delegation.ts",
    from: "  const hold = holdRefusal(maker);",
    to: "  const hold = null;",
    tests: ["test/sqlite/sqlite-token-store.test.ts"],
    seenBy: "lets a held key make no change: its bearer is refused in the step that would make it",
  },
  {
    name: "tokens are created in a closed account",
    file: "src/stores/changes/change-maker.ts",
    from: "      if (account !== null && account.closeRevision !== null) {",
    to: "      if (token === null) {",
    tests: ["test/sqlite/sqlite-token-store.test.ts"],
    seenBy: "lets nothing be created from its answer on, nor a key be shown again",
  },
  {
    name: "a closed account is released",
    file: "src/stores/changes/change-maker.ts",
    from: '    if (closeRevision !== null) {\n      return { kind: "account_closed" };\n    }\n',
    to: "",
    tests: ["test/sqlite/sqlite-token-store.test.ts"],
    seenBy: "leaves the account neither to be held nor given back, and its tokens as they are",
  },
  {
    name: "threads are not told that an account's change may be every key's",
    file: "src/stores/sqlite/serving/reader.ts",
    from: "digests: account === null ? digests : null",
    to: "digests",
    tests: ["test/authority/key-index.test.ts", "test/holds.test.ts"],
    seenBy:
      "no door accepts a key whose token or account was held, from the answer on, and each does again once it is released",
  },
  {
    name: "a restore does what was taken away in another order",
    file: "src/stores/sqlite/offline/restore.ts",
    from: "    for (const takeaway of takeaways) {",
    to: "    for (const takeaway of takeaways.toReversed()) {",
    tests: ["test/sqlite/restore-holds.test.ts"],
    seenBy: "a hold and then a release",
  },
  {
    name: "verify-journal does not look at accounts",
    file: "src/stores/sqlite/offline/verify-journal.ts",
    from: "    verifyAccounts(db);\n",
    to: "",
    tests: ["test/sqlite/verify-holds.test.ts"],
  },
  {
    name: "verify-journal does not look at the holds of tokens",
    file: "src/stores/changes/journal-rules.ts",
    from: "  if (row.hold_revision !== row.held_by) {\n    throw new Fault(\n      `the token",
    to: "  if (row.hold_revision === -1) {\n    throw new Fault(\n      `the token",
    tests: ["test/sqlite/verify-holds.test.ts"],
  },
] as const;
