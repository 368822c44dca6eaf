import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { trailersOnly } from "../../src/calls/grpc/trailers-only.ts";
import type { Status } from "../../src/calls/status.ts";
import { errorOf } from "../connect/connect-rig.ts";
import { errorIn, fieldsIn } from "./lane-rig.ts";

const anyCharacter = fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code));
const status: Status = { code: "INVALID_ARGUMENT", reason: null, message: "m", metadata: {}, details: null };

describe("an error as Trailers-Only", () => {
  it("is one header block of printable ASCII, from which the message can be read again", () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter, maxLength: 40 }), (message) => {
        const answer = trailersOnly({ ...status, message });
        expect(answer).toMatchObject({ body: null, trailer: null });
        const encoded = fieldsIn(answer.head)["grpc-message"] ?? "";
        expect(encoded).toMatch(/^[ -~]*$/);
        expect(decodeURIComponent(encoded)).toBe(message.toWellFormed());
      }),
    );
  });

  it("leaves readable what is", () => {
    const message = "100 % of: a-z, é\n\ud800";
    expect(fieldsIn(trailersOnly({ ...status, message }).head)).toEqual({
      ":status": "200",
      "content-type": "application/grpc",
      "grpc-status": "3",
      "grpc-message": "100 %25 of: a-z, %C3%A9%0A%EF%BF%BD",
    });
  });

  it("has the details in base64 without padding", () => {
    // Of each length that base64 would pad, and the one that it would not.
    for (const reason of ["A", "AB", "ABC"]) {
      const answer = trailersOnly({ ...status, reason, metadata: { field: "name" } });
      expect(fieldsIn(answer.head)["grpc-status-details-bin"]).toMatch(/^[A-Za-z0-9+/]+$/);
      expect(errorOf(errorIn(answer))).toMatchObject({
        ...{ code: "InvalidArgument", message: "m", domain: "token.casapay.com" },
        ...{ reason, metadata: { field: "name" } },
      });
    }
  });

  it("has no details where the error has no reason", () => {
    expect(fieldsIn(trailersOnly(status).head)).not.toHaveProperty("grpc-status-details-bin");
  });
});
