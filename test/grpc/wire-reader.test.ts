import { describe, expect, it } from "vitest";
import { malformed, WireReader } from "../../src/wire/protobuf/wire-reader.ts";

function reader(...bytes: readonly number[]): WireReader {
  return new WireReader(Buffer.from(bytes), 0, bytes.length);
}

describe("a varint", () => {
  it("answers its low 32 bits, whatever stands above them", () => {
    expect(reader(0x96, 0x01).uint32()).toBe(150);
    expect(reader(0xff, 0xff, 0xff, 0xff, 0x0f).uint32()).toBe(0xffff_ffff);
    expect(reader(0x81, 0x80, 0x80, 0x80, 0x80, 0x08).uint32()).toBe(1);
    expect(reader(...new Array(9).fill(0xff), 0x01).uint32()).toBe(0xffff_ffff);
  });

  it("is malformed when it goes on after ten bytes, or when the message ends in it", () => {
    expect(reader(...new Array(10).fill(0x80), 0x00).uint32()).toBe(malformed);
    expect(reader(0x80).uint32()).toBe(malformed);
    expect(reader().uint32()).toBe(malformed);
  });
});

describe("a string", () => {
  it("is null where its length is no length, or goes beyond the message", () => {
    expect(reader(0x80).string()).toBeNull();
    expect(reader(0x03, 0x61, 0x62).string()).toBeNull();
    expect(reader(0x02, 0x61, 0x62).string()).toBe("ab");
  });

  it("is null where it is no UTF-8", () => {
    expect(reader(0x02, 0x7f, 0xc3).string()).toBeNull();
    expect(reader(0x03, 0x7f, 0xc3, 0xa9).string()).toBe("\x7f\u00e9");
  });
});
