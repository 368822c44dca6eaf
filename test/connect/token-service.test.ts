import { createHash } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { TokenState, TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { ChangeAction, RefusalReason, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { ConnectRig, protocols } from "./connect-rig.ts";

describe("a key's life", () => {
  for (const protocol of protocols) {
    for (const useBinaryFormat of [true, false]) {
      it(`passes over ${protocol} in ${useBinaryFormat ? "binary" : "JSON"}`, async () => {
        await using rig = await ConnectRig.start();
        const client = rig.client(TokenService, undefined, protocol, useBinaryFormat);
        const expireTime = timestampFromMs(rig.nowMs + 60_000);

        const created = await client.create({
          account: "acct_1",
          name: "Checkout",
          type: TokenType.RESTRICTED,
          livemode: true,
          permissions: ["charges:write"],
          expireTime,
        });
        expect(created.key).toMatch(/^rk_live_/);
        expect(created.revision).toBe(1n);
        expect(created.token).toMatchObject({
          account: "acct_1",
          name: "Checkout",
          type: TokenType.RESTRICTED,
          livemode: true,
          keyPrefix: "rk_live_",
          keyHint: created.key.slice(-4),
          permissions: ["charges:write"],
          state: TokenState.ACTIVE,
          createTime: timestampFromMs(rig.nowMs),
          expireTime,
          revokeReason: "",
          createdBy: "spiffe://casapay/operator",
        });
        expect(created.token?.lastUseTime).toBeUndefined();
        expect(created.token?.revokeTime).toBeUndefined();
        const id = created.token?.id ?? "";

        const accepted = await client.authenticate({ key: created.key, requiredPermissions: ["charges:read"] });
        expect(accepted.outcome).toMatchObject({
          case: "principal",
          value: {
            tokenId: id,
            account: "acct_1",
            type: TokenType.RESTRICTED,
            livemode: true,
            permissions: ["charges:write"],
            expireTime,
          },
        });
        const refused = await client.authenticate({ key: created.key, requiredPermissions: ["refunds:read"] });
        expect(refused.outcome).toMatchObject({
          case: "refusal",
          value: {
            reason: RefusalReason.INSUFFICIENT_PERMISSIONS,
            missingPermissions: ["refunds:read"],
            tokenId: id,
            account: "acct_1",
          },
        });

        expect((await client.get({ id })).token?.id).toBe(id);
        const listed = await client.list({
          account: "acct_1",
          types: [TokenType.RESTRICTED],
          states: [TokenState.ACTIVE],
        });
        expect(listed.tokens.map((token) => token.id)).toEqual([id]);

        const revoked = await client.revoke({ id, reason: "leaked" });
        expect(revoked.revision).toBe(2n);
        expect(revoked.token).toMatchObject({ state: TokenState.REVOKED, revokeReason: "leaked" });
        const last = await client.authenticate({ key: created.key });
        expect(last.outcome).toMatchObject({ case: "refusal", value: { reason: RefusalReason.TOKEN_REVOKED } });

        const digest = createHash("sha256").update(created.key).digest();
        const found = await client.findByDigest({ digest });
        expect(found.token).toEqual(revoked.token);
        expect(rig.calls.at(-1)).toMatchObject({ code: "OK", tokenId: id });
        const byName = await client.list({ nameContains: "CHECK", keyHint: created.key.slice(-4) });
        expect(byName.tokens.map((token) => token.id)).toEqual([id]);
        const { changes } = await client.listChanges({ tokenId: id });
        const shared = { tokenId: id, caller: "spiffe://casapay/operator", changeTime: timestampFromMs(rig.nowMs) };
        expect(changes).toMatchObject([
          { revision: 2n, action: ChangeAction.REVOKE, ...shared },
          { revision: 1n, action: ChangeAction.CREATE, ...shared },
        ]);
        expect(rig.calls.at(-1)).toMatchObject({ code: "OK", tokenId: id });
        const hashes = rig.changes.map(({ hash }) => Buffer.from(hash).toString("hex"));
        expect(changes.map(({ hash }) => Buffer.from(hash).toString("hex"))).toEqual(hashes.toReversed());
        expect((await client.listAccounts({ prefix: "acct" })).accounts).toMatchObject([
          { account: "acct_1", activeCount: 0, expiredCount: 0, revokedCount: 1 },
        ]);
        expect(JSON.stringify([rig.calls, rig.logged])).not.toContain(digest.toString("hex"));
        expect(JSON.stringify([rig.calls, rig.logged])).not.toContain(digest.toString("base64"));
      });
    }
  }
});
