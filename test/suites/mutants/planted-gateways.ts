/** Small bugs at the doors for bearers of keys, each with the tests that must go red when it is planted. */
export const plantedGateways = [
  {
    name: "Token KEY is taken as a credential",
    file: "src/bearer/presented-key.ts",
    from: "/^(Bearer|Basic) +([!-~]+)$/i.exec(value)",
    to: '/^(Bearer|Basic) +([!-~]+)$/i.exec(value.replace(/^Token /i, "Bearer "))',
    tests: ["test/bearer/presented-key.test.ts"],
  },
  {
    name: "of two keys the first is taken",
    file: "src/bearer/presented-key.ts",
    from: "if (others.length > 0) {",
    to: "if (others.length > 1) {",
    tests: ["test/bearer/presented-key.test.ts"],
  },
  {
    name: "padding of Basic is not looked at",
    file: "src/bearer/presented-key.ts",
    from: 'if (credentials !== written && credentials !== written.replace(/=+$/, "")) {',
    to: 'if (credentials.replace(/=+$/, "") !== written.replace(/=+$/, "")) {',
    tests: ["test/bearer/presented-key.test.ts"],
  },
  {
    name: "an unknown status of Check is OK",
    file: "src/grpc/encode-check-response.ts",
    from: "status === 401 ? unauthenticated : permissionDenied",
    to: "status === 401 ? unauthenticated : status === 403 ? permissionDenied : 0",
    tests: ["test/grpc/check-wire.test.ts"],
  },
  {
    name: "the request_id of a refused Check is not logged",
    file: "src/grpc/check-lane.ts",
    from: "refusal, requestId, revision: null }",
    to: "refusal, revision: null }",
    tests: ["test/gateway/gateway.test.ts"],
  },
  {
    name: "of refusals that a bearer may ask about only one in 10 seconds is logged",
    file: "src/call-log.ts",
    from: "isNamed ? findable : sampled",
    to: "sampled",
    tests: ["test/call-log.test.ts"],
  },
  {
    name: "a key in a gateway's route is logged",
    file: "src/gateway/question.ts",
    from: "&& !/[spr]k_(live|test)_/i.test(text)",
    to: "",
    tests: ["test/gateway/gateway.test.ts"],
  },
] as const;
