/** Small bugs in an edge, each with the tests that must go red when it is planted. */
const file = "src/stores/upstream/upstream.ts";
const tests = ["test/edge.test.ts"];

export const plantedEdge = [
  {
    name: "an edge accepts a key that it knows, whatever the route asks",
    file,
    from: 'found.kind === "principal" ? judge(request, found, beforeEveryEndMs) : found',
    to: "found",
    tests,
    seenBy: "decides as its authority does, whatever is asked of whatever key",
  },
  {
    name: "an edge takes its own clock for the authority's",
    file,
    from: "const beforeEveryEndMs = Number.NEGATIVE_INFINITY;",
    to: "const beforeEveryEndMs = Date.now();",
    tests,
    seenBy: "a key ends by the authority's clock, also where the edge keeps it",
  },
  {
    name: "an edge tells its authority of no use",
    file,
    from: "      cache.noteUse(known);\n",
    to: "",
    tests,
    seenBy: "uses that an edge has accepted are told to its authority",
  },
  {
    name: "an outage of its authority looks like an unknown key",
    file,
    from: "    const response = await send(asMessage(request));\n",
    to:
      "    const response = await send(asMessage(request)).catch(() => null);\n" +
      '    if (response === null) {\n      return refusal("KEY_UNKNOWN", null);\n    }\n',
    tests,
    seenBy: "an outage of its authority is never a bad key, and is over with it",
  },
  {
    name: "an edge asks about a key for each who misses it",
    file: "clients/typescript/src/cache/questions-under-way.ts",
    from: "    this.#ends.set(digest, end);\n",
    to: "",
    tests,
    seenBy: "asks its authority once about a key that many ask about at the same time",
  },
  {
    name: "an edge that ends keeps its lease",
    file,
    from: "      await Promise.race([watch.close(), pause(lastWordsMs)]);\n",
    to: "",
    tests,
    seenBy: "an edge that ends gives its lease back",
  },
  {
    name: "an edge keeps the answer to a question that is not the widest",
    file,
    from: "allowedTypes: [...widestQuestion.allowedTypes]",
    to: "allowedTypes: []",
    tests,
    seenBy: "decides as its authority does, whatever is asked of whatever key",
  },
  {
    name: "an edge does not forget a key that it is told to forget",
    file: "clients/typescript/src/cache/key-cache.ts",
    from: "    this.#drop(digest, revision);\n  }\n\n  /** A change after which every key of this",
    to: "  }\n\n  /** A change after which every key of this",
    tests,
    seenBy: "refuses a key at every door from the answer to its revocation on",
  },
] as const;
