import { describe, expect, it } from "vitest";
import { grpcTypeOf, isUnencoded, isUtf8, parseMediaType } from "../../src/wire/media-type.ts";

describe("a media type", () => {
  it.each([
    ["application/json", "application/json", null],
    ["Application/JSON ; Charset=UTF-8", "application/json", "utf-8"],
    ['application/json;charset="utf-8"', "application/json", "utf-8"],
    ['application/json; charset="ut\\f-8" ; profile="a;charset=x"', "application/json", "utf-8"],
    ["\tapplication/grpc+proto\t;;", "application/grpc+proto", null],
    ['multipart/form-data; boundary="a b"', "multipart/form-data", null],
  ])("%s is read as RFC 9110 writes it", (text, name, charset) => {
    expect(parseMediaType(text)).toEqual({ name, charset });
  });

  it.each([
    "",
    "json",
    "application/",
    "application/json charset=utf-8",
    "application/json; charset",
    "application/json; charset = utf-8",
    'application/json; charset="utf-8',
    "application/json; charset=utf-8; charset=latin1",
    "application/json, text/plain",
    `application/json${"; ".repeat(8000)}=`,
    `application/json;${" ".repeat(16_000)}=`,
  ])("%#: what is none is null", (text) => {
    expect(parseMediaType(text)).toBeNull();
  });

  it("is UTF-8 unless it names another charset", () => {
    const charsets = ["", "; charset=UTF8", "; charset=latin1", '; charset=""'];
    const types = charsets.map((charset) => parseMediaType(`application/json${charset}`));
    expect(types.map((type) => type !== null && isUtf8(type))).toEqual([true, true, false, false]);
  });
});

it("a body is as it stands when its encoding is identity, in any case, or is not named", () => {
  expect([null, "", "identity", " Identity "].map(isUnencoded)).toEqual([true, true, true, true]);
  expect(["gzip", "identity, gzip", "identities"].map(isUnencoded)).toEqual([false, false, false]);
});

describe("the type of a gRPC request", () => {
  it.each([
    ["application/grpc", "application/grpc"],
    ["Application/gRPC+proto; charset=utf-8", "application/grpc"],
    ["application/grpc-web", "application/grpc-web"],
    ["application/grpc-web+json", "application/grpc-web"],
    ["application/grpcs", null],
    ["application/json", null],
    [null, null],
  ])("%j is of the protocol %j", (contentType, protocol) => {
    expect(grpcTypeOf(contentType)).toBe(protocol);
  });
});
