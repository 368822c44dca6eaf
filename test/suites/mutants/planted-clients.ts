/** Small bugs in the cache of the TypeScript client, each with the tests that must go red when it is planted. */
const folder = "clients/typescript/src/cache";
const tests = ["clients/typescript/test/cache/key-cache.test.ts"];
const watchTests = ["clients/typescript/test/cache/watch.test.ts"];

export const plantedClients = [
  {
    name: "a client's lease is counted from its answer",
    file: `${folder}/key-cache.ts`,
    from: "this.#lease.grant(asked, durationMs);",
    to: "this.#lease.grant({ ...asked, monotonicMs: this.#clocks.monotonicMs(), wallMs: this.#clocks.wallMs() }, durationMs);",
    tests,
    seenBy: "runs from before it was asked for, not from when it was granted",
  },
  {
    name: "a client's lease outlives its wall clock",
    file: `${folder}/lease.ts`,
    from: " && wallMs < this.#wallUntilMs",
    to: "",
    tests,
    seenBy: "is over by the wall clock too: a machine that slept has a monotonic clock that stood still",
  },
  {
    name: "a client's lease outlives clocks that moved apart",
    file: `${folder}/lease.ts`,
    from: "> maxApartMs) {",
    to: "> 3_600_000 + maxApartMs) {",
    tests,
  },
  {
    name: "a client keeps what it had when its clocks moved apart",
    file: `${folder}/key-cache.ts`,
    from: `this.forgetAll();
    }
    return state`,
    to: `this.#lease.end();
    }
    return state`,
    tests,
  },
  {
    name: "a client decides from memory without a lease",
    file: `${folder}/key-cache.ts`,
    from: `if (!this.#isHeldAt(nowMs)) {
      return null;`,
    to: `if (!this.#isHeldAt(nowMs) && this.size === 0) {
      return null;`,
    tests,
    seenBy: "is needed to keep an answer and to decide by it",
  },
  {
    name: "a client decides by an answer that may not be kept any longer",
    file: `${folder}/key-cache.ts`,
    from: " || nowMs >= found.untilMs",
    to: "",
    tests,
    seenBy: "is kept no longer than it may be, counted from before it was asked for",
  },
  {
    name: "a client counts from an answer's arrival how long it may be kept",
    file: `${folder}/key-cache.ts`,
    from: "untilMs: Math.floor(begunAtMs +",
    to: "untilMs: Math.floor(this.#clocks.monotonicMs() +",
    tests,
    seenBy: "is kept no longer than it may be, counted from before it was asked for",
  },
  {
    name: "a client keeps an answer of before its key was to be forgotten",
    file: `${folder}/forgets.ts`,
    from: "      revision >= this.#latest(digest) &&\n",
    to: "",
    tests,
    seenBy: "of before a word about its key is not kept after it",
  },
  {
    name: "a client keeps an answer of before its account was to be forgotten",
    file: `${folder}/forgets.ts`,
    from: "(account === null || revision >= this.#latest(nameOf(account)))",
    to: "(account === null || revision >= 0)",
    tests,
    seenBy: "of before a word about its account is not kept after it",
  },
  {
    name: "a client keeps an answer of before its first lease",
    file: `${folder}/forgets.ts`,
    from: "      revision >= this.#floor &&\n",
    to: "",
    tests,
    seenBy: "of before the first lease is not kept: what happened then is never told",
  },
  {
    name: "a client keeps an answer of before a word that it does not remember",
    file: `${folder}/forgets.ts`,
    from: "      this.letGo(this.#oldRevision);\n",
    to: "",
    tests,
    seenBy: "of before a word that is not remembered any more is not kept",
  },
  {
    name: "a client keeps an older answer in the place of a newer one",
    file: `${folder}/key-cache.ts`,
    from: "kept !== null && kept.revision > revision",
    to: "kept !== null && kept.revision > revision + 1_000_000",
    tests,
  },
  {
    name: "a client keeps an answer that is older than one which was pushed out",
    file: `${folder}/key-cache.ts`,
    from: "() => this.#forgets.letGo(this.#newestRevision)",
    to: "() => {}",
    tests,
  },
  {
    name: "a client decides from memory by what is older than an answer to a question as it is",
    file: `${folder}/key-cache.ts`,
    from: "    this.#drop(digestOf(key), Number.POSITIVE_INFINITY);\n",
    to: "",
    tests,
  },
  {
    name: "a client goes by an older word that came again",
    file: `${folder}/forgets.ts`,
    from: "this.#young.set(what, Math.max(revision, this.#latest(what)));",
    to: "this.#young.set(what, revision);",
    tests,
    seenBy: "of before an older word that comes again is held back by the newer",
  },
  {
    name: "a client keeps an answer that it asked for before it forgot everything",
    file: `${folder}/key-cache.ts`,
    from: "epoch === this.#epoch && ",
    to: "epoch >= 0 && ",
    tests,
    seenBy: "that was asked for before everything was forgotten is not kept after it",
  },
  {
    name: "a client keeps an unknown key as long as any other",
    file: `${folder}/key-cache.ts`,
    from: "isProven(facts) ? Number.POSITIVE_INFINITY : maxUnknownMs",
    to: "Number.POSITIVE_INFINITY",
    tests,
    seenBy: "about an unknown key is kept for five seconds at most",
  },
  {
    name: "a client keeps unknown keys among the others",
    file: `${folder}/key-cache.ts`,
    from: "return tokenId !== null;",
    to: "return tokenId !== undefined;",
    tests,
    seenBy: "about an unknown key is kept for five seconds at most",
  },
  {
    name: "a client counts its lease from the moment that the Lease comes",
    file: `${folder}/watch-stream.ts`,
    from: "cache.grant(asked, ",
    to: "cache.grant(momentOf(this.#options.clocks), ",
    tests: watchTests,
  },
  {
    name: "a client acknowledges a change of several keys with the first of them",
    file: `${folder}/watch-stream.ts`,
    from: "if (!more) {",
    to: "if (!more || revision > 0n) {",
    tests: watchTests,
  },
  {
    name: "a client takes a lease that it has given back",
    file: `${folder}/watch-stream.ts`,
    from: "asked === undefined || this.#isEnded",
    to: "asked === undefined",
    tests: watchTests,
  },
  {
    name: "a client passes over an event that it does not know",
    file: `${folder}/watch-stream.ts`,
    from: `      default:
        throw this.#unknown();
    }
  }`,
    to: `      default:
        break;
    }
  }`,
    tests: watchTests,
  },
  {
    name: "a client keeps what it had when it begins anew",
    file: `${folder}/watch.ts`,
    from: `      cache.forgetAll();
    }
    const stream`,
    to: `      cache.isHeld();
    }
    const stream`,
    tests: watchTests,
  },
  {
    name: "a client gives its lease back before it has another",
    file: `${folder}/watch.ts`,
    from: "if (this.#newest !== null && this.#newest === this.#holder) {",
    to: "if (this.#newest !== null && this.#newest === this.#holder) {\n      this.#options.cache.endLease();\n      this.#newest.release();",
    tests: watchTests,
  },
  {
    name: "a client takes one key for another whose digest begins alike",
    file: `${folder}/kept-keys.ts`,
    from: "return hot?.digest === digest ? hot : this.#unpack(digest);",
    to: "return hot ?? this.#unpack(digest);",
    tests,
    seenBy: "are told apart, and the unknown one pushes the other out of nothing",
  },
  {
    name: "a client takes one packed key for another that is in its place",
    file: `${folder}/packed-half.ts`,
    from: "index < digestBytes; index",
    to: "index < 0; index",
    tests,
  },
  {
    name: "a client forgets a key where it is packed and not where it is hot",
    file: `${folder}/kept-keys.ts`,
    from: "      this.#hot.delete(placeOf(digest));\n",
    to: "",
    tests,
  },
  {
    name: "a client forgets a key where it is hot and not where it is packed",
    file: `${folder}/kept-keys.ts`,
    from: "    this.#young.delete(digest, beforeRevision);\n",
    to: "",
    tests,
    seenBy: "are told apart, and the unknown one pushes the other out of nothing",
  },
  {
    name: "a client lets a test key pass for a live one",
    file: `${folder}/decide.ts`,
    from: "livemode !== undefined && livemode !== standing.livemode",
    to: "livemode === false && livemode !== standing.livemode",
    tests: ["clients/typescript/test/cache/decide.test.ts"],
  },
  {
    name: "a client's permission to read covers writing",
    file: `${folder}/standings.ts`,
    from: 'one.endsWith(":write")).map((one) => one.replace(/write$/, "read"))',
    to: 'one.includes(":")).map((one) => one.replace(/read$/, "write"))',
    tests: ["clients/typescript/test/cache/decide.test.ts"],
  },
];
