/** Small bugs at the doors for bearers of keys, each with the tests that must go red when it is planted. */
export const plantedGateways = [
  {
    name: "Token KEY is taken as a credential",
    file: "src/bearer/presented-key.ts",
    from: `/^(Bearer|Basic) +([!-~]+)$/i.exec(value) ?? [];
  return scheme.toLowerCase() === "bearer" ?`,
    to: `/^(Bearer|Basic|Token) +([!-~]+)$/i.exec(value) ?? [];
  return scheme.toLowerCase() !== "basic" ?`,
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
] as const;
