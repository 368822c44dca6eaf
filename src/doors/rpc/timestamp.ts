import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { fieldInvalid } from "../../authority/errors.ts";

// The years 0001 to 9999, as google.protobuf.Timestamp has it.
const minSeconds = -62_135_596_800n;
const maxSeconds = 253_402_300_799n;

/** A time in Unix milliseconds as a Timestamp; absent for null. */
export function toTimestamp(ms: number): Timestamp;
export function toTimestamp(ms: number | null): Timestamp | undefined;
export function toTimestamp(ms: number | null): Timestamp | undefined {
  if (ms === null) {
    return undefined;
  }
  const seconds = Math.floor(ms / 1000);
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: (ms - seconds * 1000) * 1_000_000 });
}

/**
 * A Timestamp in Unix milliseconds, without parts of a millisecond; null when absent. Throws FIELD_INVALID outside its
 * range.
 */
export function fromTimestamp(field: string, timestamp: Timestamp): number;
export function fromTimestamp(field: string, timestamp: Timestamp | undefined): number | null;
export function fromTimestamp(field: string, timestamp: Timestamp | undefined): number | null {
  if (timestamp === undefined) {
    return null;
  }
  const { seconds, nanos } = timestamp;
  if (seconds < minSeconds || seconds > maxSeconds || nanos < 0 || nanos > 999_999_999) {
    throw fieldInvalid(field, "must be a time from the year 1 to 9999, with 0 to 999999999 nanoseconds");
  }
  return Number(seconds) * 1000 + Math.floor(nanos / 1_000_000);
}
