/** Small bugs in what hostile neighbours are held to, each with the tests that must go red when it is planted. */
export const plantedNeighbours = [
  {
    name: "strangers are not told from callers",
    file: "src/wire/port/listener.ts",
    from: "knowsCallers && peer.identity === null",
    to: "knowsCallers && peer.identity === undefined",
    tests: ["test/tls/strangers.test.ts"],
    seenBy: "are counted apart: the oldest of too many is cut, and no caller that has one",
  },
  {
    name: "a stranger stays for ever",
    file: "src/wire/port/connection-registry.ts",
    from: "if (sinceMs > fromMs) {",
    to: "if (sinceMs > 0) {",
    tests: ["test/tls/strangers.test.ts"],
    seenBy: "are told so, and cut after their time, over HTTP/2 and HTTP/1.1; callers stay",
  },
  {
    name: "all addresses take turns as one",
    file: "src/wire/port/handshakes.ts",
    from: "this.#parties.get(address) ??",
    to: "this.#parties.values().next().value ??",
    tests: ["test/tls/strangers.test.ts"],
  },
  {
    name: "a lane keeps the body of whoever may not call",
    file: "src/wire/http2/lane-runner.ts",
    from: "stream.laneBody === null && this.#refuseStranger(stream, lane)",
    to: "stream.laneBody !== null && this.#refuseStranger(stream, lane)",
    tests: ["test/mutual-tls.test.ts"],
    seenBy: "no certificate is refused at the first part of a body, of which nothing is kept",
  },
  {
    name: "those that hold least are cut",
    file: "src/wire/port/byte-budget.ts",
    from: "other.bytes - one.bytes",
    to: "one.bytes - other.bytes",
    tests: ["test/http/byte-budget.test.ts"],
    seenBy: "cuts the connections that hold most of too much, until a quarter is free, and says so",
  },
  {
    name: "answers that wait are in no account",
    file: "src/wire/http2/outgoing.ts",
    from: "      this.#account.take(bytes);\n",
    to: "",
    tests: ["test/http/byte-budget.test.ts"],
    seenBy:
      "cuts who takes nothing of what it asked for, over HTTP/2 and HTTP/1.1, and counts nothing once all have gone",
  },
  {
    name: "callers without a role take the streams of those that have one",
    file: "src/doors/rpc/connect/stream-slots.ts",
    from: "role === null ? null : identity",
    to: "null",
    tests: ["test/connect/health-service.test.ts"],
    seenBy: "of callers without a role take no place of a caller that has one, nor one such caller those of another",
  },
] as const;
