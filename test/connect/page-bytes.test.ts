import { toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { ListResponseSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import { TestServer } from "../support/test-server.ts";

describe("listing", () => {
  it("ends a page at a MiB, which clients of gRPC take by default, and goes on where it ended", async () => {
    await using authority = await TestServer.start();
    const longest = (at: number) => `${String(at).padStart(3, "p").padEnd(63, "x")}:write`;
    const permissions = Array.from({ length: 100 }, (_, at) => longest(at));
    const request = { type: TokenType.RESTRICTED, permissions };
    const made = await Promise.all(Array.from({ length: 200 }, () => authority.issue(request)));
    const ids: string[] = [];
    let pageToken = "";
    let longestPage = 0;
    do {
      const page = await authority.tokens.list({ pageSize: 1000, pageToken });
      longestPage = Math.max(longestPage, toBinary(ListResponseSchema, page).length);
      ids.push(...page.tokens.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(ids.toSorted()).toEqual(made.map(({ id }) => id).toSorted());
    expect(longestPage).toBeGreaterThan(900_000);
    expect(longestPage).toBeLessThan(1_100_000);
  });
});
