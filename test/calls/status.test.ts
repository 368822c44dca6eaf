import { describe, expect, it } from "vitest";
import * as errors from "../../src/authority/errors.ts";
import { statusOfAuthorityError } from "../../src/calls/status.ts";

describe("a refusal of the domain, as a call ends with it", () => {
  it.each([
    [
      errors.fieldInvalid("requiredPermissions", "must be at most 16"),
      "required_permissions must be at most 16",
      { field: "required_permissions" },
    ],
    [
      errors.fieldInvalid("expiresAtMs", "must lie in the future"),
      "expire_time must lie in the future",
      { field: "expire_time" },
    ],
    [errors.fieldInvalid("the route", "may say permission"), "the route may say permission", { field: "the route" }],
    [
      errors.pageTokenInvalid(),
      "page_token is not one that was answered to these filters: start again without it",
      { field: "page_token" },
    ],
    [errors.typeNotGranted("service", "secret"), "the role service may not create secret tokens", { field: "type" }],
    [errors.tokenNotFound(), "no token has this id", { field: "id" }],
    [errors.tokenNotFound("tokenId"), "no token has this id", { field: "token_id" }],
    [errors.tokenNotFound("digest"), "no token's key has this digest", { field: "digest" }],
    [
      errors.tokenLimitReached(2),
      "the account has 2 unrevoked, unexpired tokens, as many as it may have: revoke some first",
      { field: "account" },
    ],
    [errors.storageLow(), "the disk is nearly full: no tokens are created until there is room", {}],
    [errors.requestIdReused(), "request_id was used within 24 hours with another request", { field: "request_id" }],
    [
      errors.sealingSecretMissing(),
      "request_id needs a sealing secret, and this authority has none: set TOKEN_AUTHORITY_SEALING_SECRET",
      { field: "request_id" },
    ],
    [
      errors.replayUnreadable("tok_1"),
      "the key was sealed under another secret, or before a restore, and cannot be shown again: revoke the token and create another",
      { field: "request_id", token_id: "tok_1" },
    ],
    [errors.undecided(new Error("disk gone")), "the authority cannot answer now: ask again", {}],
  ])("has the proto's names of fields: %s", (error, message, metadata) => {
    expect(statusOfAuthorityError(error)).toMatchObject({ reason: error.reason, message, metadata });
    expect(statusOfAuthorityError(error).metadata).toEqual(metadata);
  });
});
