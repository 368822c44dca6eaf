import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";
import { fieldInvalid } from "../../authority/errors.ts";

/** So many milliseconds as a Duration. */
export function toDuration(ms: number): Duration {
  const seconds = Math.floor(ms / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1_000_000) });
}

/**
 * A Duration in milliseconds; 0 when absent. It may be any number, also a negative one. Throws FIELD_INVALID for
 * seconds and nanoseconds that google.protobuf.Duration does not allow together.
 */
export function fromDuration(field: string, duration: Duration | undefined): number {
  if (duration === undefined) {
    return 0;
  }
  const { seconds, nanos } = duration;
  if (Math.abs(nanos) > 999_999_999 || (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0)) {
    throw fieldInvalid(field, "must have at most 999999999 nanoseconds, of the same sign as the seconds");
  }
  return Number(seconds) * 1000 + nanos / 1_000_000;
}
