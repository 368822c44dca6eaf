import { gzipSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AuthorityError } from "../../src/authority/errors.ts";
import { fromTimestamp, toTimestamp } from "../../src/doors/rpc/timestamp.ts";
import { ConnectRig, enveloped, errorOf, protocols } from "./connect-rig.ts";
import { rawCall, rawError } from "./raw-call.ts";

describe("a time on the wire", () => {
  const firstMs = -62_135_596_800_000;
  const lastMs = 253_402_300_799_999;

  it("is absent for null, both ways", () => {
    expect(toTimestamp(null)).toBeUndefined();
    expect(fromTimestamp("expire_time", undefined)).toBeNull();
  });

  it("is exact to the millisecond from the year 1 to 9999", () => {
    for (const ms of [firstMs, -1001, -1000, -999, -1, 0, 1, 999, 1000, lastMs]) {
      expect(fromTimestamp("expire_time", toTimestamp(ms))).toBe(ms);
    }
    fc.assert(
      fc.property(fc.integer({ min: firstMs, max: lastMs }), (ms) => {
        const timestamp = toTimestamp(ms);
        expect(timestamp.nanos).toBeGreaterThanOrEqual(0);
        expect(timestamp.nanos).toBeLessThan(1_000_000_000);
        expect(fromTimestamp("expire_time", timestamp)).toBe(ms);
      }),
    );
  });

  it("loses what is less than a millisecond", () => {
    expect(fromTimestamp("f", create(TimestampSchema, { seconds: 1n, nanos: 999_999 }))).toBe(1000);
    expect(fromTimestamp("f", create(TimestampSchema, { seconds: -1n, nanos: 999_999 }))).toBe(-1000);
    expect(fromTimestamp("f", create(TimestampSchema, { seconds: -1n, nanos: 999_999_999 }))).toBe(-1);
  });

  it("is refused outside its range", () => {
    for (const [seconds, nanos] of [
      [-62_135_596_801n, 0],
      [253_402_300_800n, 0],
      [1n << 62n, 0],
      [0n, -1],
      [0n, 1_000_000_000],
    ] as const) {
      const timestamp = { ...create(TimestampSchema), seconds, nanos };
      expect(() => fromTimestamp("created_from", timestamp)).toThrow(AuthorityError);
    }
  });
});

describe.each(protocols)("a time in JSON over %s", (protocol) => {
  const list = (message: string) => rawCall(protocol, "json", "/casapay.token.v1.TokenService/List", message);
  const refusal = { code: "InvalidArgument", reason: "REQUEST_MALFORMED", metadata: { field: "created_from" } };

  it("is refused when it is on no calendar", async () => {
    await using rig = await ConnectRig.start();
    for (const time of [
      "2027-02-31T00:00:00Z",
      "2027-02-29T12:00:00.5Z",
      "2027-04-31T00:00:00+01:00",
      "1900-02-29T00:00:00Z",
      "0001-02-30T00:00:00Z",
      "2027-01-01T24:00:00Z",
    ]) {
      for (const name of ["createdFrom", "created_from"]) {
        const error = rawError(protocol, await rig.send(list(JSON.stringify({ [name]: time }))));
        expect(errorOf(error), `${name} ${time}`).toMatchObject(refusal);
      }
    }
  });

  it("is looked at whatever the case of the content type, and behind a byte order mark where one may stand", async () => {
    await using rig = await ConnectRig.start();
    const unreal = '{"createdFrom": "2027-02-31T00:00:00Z"}';
    const call = list(unreal);
    const loud = {
      ...call,
      header: { ...call.header, "content-type": (call.header?.["content-type"] ?? "").toUpperCase() },
    };
    expect(errorOf(rawError(protocol, await rig.send(loud)))).toMatchObject(refusal);
    expect(errorOf(rawError(protocol, await rig.send(list(`\ufeff${unreal}`))))).toMatchObject({
      code: "InvalidArgument",
    });
  });

  it("is taken on every day that there is", async () => {
    await using rig = await ConnectRig.start();
    for (const time of [
      "2028-02-29T00:00:00Z",
      "2000-02-29T23:59:59.999999999-12:00",
      "0001-01-01T00:00:00Z",
      "9999-12-31T23:59:59Z",
    ]) {
      const message = JSON.stringify({ createdFrom: time, expiresBefore: null });
      expect(rawError(protocol, await rig.send(list(message))), time).toBeNull();
    }
  });

  it("is looked at in a compressed request as well", async () => {
    await using rig = await ConnectRig.start();
    const message = gzipSync('{"createdFrom": "2027-02-31T00:00:00Z"}');
    const request = list("");
    const envelope = enveloped(message);
    envelope[0] = 1;
    const error = rawError(
      protocol,
      await rig.send({
        ...request,
        header: { ...request.header, [protocol === "connect" ? "content-encoding" : "grpc-encoding"]: "gzip" },
        body: protocol === "connect" ? message : envelope,
      }),
    );
    expect(errorOf(error)).toMatchObject(refusal);
  });
});
