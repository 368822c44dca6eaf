import assert from "node:assert/strict";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import type { RpcAnswer, RpcClient, RpcName } from "./rpc-clients.ts";

/** Creates a key, retries, asks for it in every way, revokes it; throws where an answer is not as the contract says. */
export async function walkLifeOfKey(client: RpcClient): Promise<void> {
  const account = `acct_${randomBytes(8).toString("hex")}`;
  const request = {
    account,
    name: "Schlüssel 🔑",
    type: "TOKEN_TYPE_RESTRICTED",
    livemode: true,
    permissions: ["payment_intents:read", "events:write"],
    requestId: randomUUID(),
  };
  const created = await succeed(client, "Create", request);
  const { key, revision } = created;
  const token = created.token as JsonObject;
  const { id } = token;
  assert.ok(typeof key === "string" && typeof id === "string");
  assert.match(key, /^rk_live_[0-9A-Za-z]{38}$/);
  assert.match(id, /^tok_[0-9A-Za-z]{20,}$/);
  assert.match(String(revision), /^[1-9][0-9]*$/);
  assert.partialDeepStrictEqual(token, { account, name: request.name, state: "TOKEN_STATE_ACTIVE", livemode: true });
  assert.equal((await succeed(client, "Create", request)).key, key, "a retry answers the same key");

  const { principal } = await succeed(client, "Authenticate", { key, requiredPermissions: ["events:read"] });
  assert.partialDeepStrictEqual(principal, { tokenId: id, account, permissions: request.permissions });
  const { refusal: insufficient } = await succeed(client, "Authenticate", { key, requiredPermissions: ["files:read"] });
  assert.partialDeepStrictEqual(insufficient, { reason: "REFUSAL_REASON_INSUFFICIENT_PERMISSIONS" });

  const { tokens } = await succeed(client, "List", { account });
  assert.ok(Array.isArray(tokens) && tokens.length === 1);
  assert.partialDeepStrictEqual(tokens[0], { id });
  assert.partialDeepStrictEqual(await succeed(client, "Get", { id }), { token: { id, account } });
  await fail(client, "Get", { id: `tok_${"0".repeat(24)}` }, "NOT_FOUND");
  await fail(client, "Create", { ...request, name: "", requestId: "" }, "INVALID_ARGUMENT");

  const digest = createHash("sha256").update(key).digest("base64");
  assert.partialDeepStrictEqual(await succeed(client, "FindByDigest", { digest }), { token: { id, account } });
  await fail(client, "FindByDigest", { digest: Buffer.alloc(32).toString("base64") }, "NOT_FOUND");
  const { accounts } = await succeed(client, "ListAccounts", { prefix: account });
  assert.partialDeepStrictEqual(accounts, [{ account, activeCount: 1 }]);

  const revoked = await succeed(client, "Revoke", { id, reason: "leaked" });
  assert.partialDeepStrictEqual(revoked, { token: { state: "TOKEN_STATE_REVOKED", revokeReason: "leaked" } });
  assert.equal((await succeed(client, "Revoke", { id })).revision, revoked.revision, "revoking again changes nothing");
  const { changes } = await succeed(client, "ListChanges", { tokenId: id });
  assert.partialDeepStrictEqual(changes, [
    { action: "CHANGE_ACTION_REVOKE", tokenId: id, revision: revoked.revision },
    { action: "CHANGE_ACTION_CREATE", tokenId: id, revision },
  ]);
  const { refusal } = await succeed(client, "Authenticate", { key });
  assert.partialDeepStrictEqual(refusal, { reason: "REFUSAL_REASON_TOKEN_REVOKED", tokenId: id, account });
  assert.equal((await succeed(client, "Create", request)).key ?? "", "", "a retry shows no revoked key");
}

/** Calls, and wants an answer. */
export async function succeed(client: RpcClient, rpc: RpcName, request: JsonObject): Promise<JsonObject> {
  const answer = await client.call(rpc, request);
  assert.ok("ok" in answer, `${rpc} was refused: ${JSON.stringify(answer)}`);
  return answer.ok;
}

/** Calls, and wants this status. */
export async function fail(client: RpcClient, rpc: RpcName, request: JsonObject, code: string): Promise<void> {
  const expected: RpcAnswer = { code };
  assert.deepEqual(await client.call(rpc, request), expected, rpc);
}
