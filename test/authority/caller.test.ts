import { expect, it } from "vitest";
import { mayCreate, mayListAllAccounts, roles } from "../../src/authority/caller.ts";
import { tokenTypes } from "../../src/authority/token.ts";

// Written out from the comments of token_service.proto, apart from the table that the server has.
it.each([
  ["gateway", []],
  ["service", ["restricted"]],
  ["bearer", ["restricted"]],
  ["dashboard", ["secret", "publishable", "restricted"]],
  ["operator", ["secret", "publishable", "restricted"]],
] as const)("lets a caller with the role %s create keys of the types %j alone", (role, allowed) => {
  expect(tokenTypes.filter((type) => mayCreate(role, type))).toEqual(allowed);
});

it("lets operators alone list what belongs to all accounts at once", () => {
  expect([...roles, "bearer" as const].filter(mayListAllAccounts)).toEqual(["operator"]);
});
