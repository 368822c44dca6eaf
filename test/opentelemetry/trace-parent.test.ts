import fc from "fast-check";
import { expect, it } from "vitest";
import { parseTraceParent } from "../../src/telemetry/opentelemetry/trace-parent.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";

it("reads the ids of the caller's span, and whether it is sampled", () => {
  expect(parseTraceParent(`00-${traceId}-${spanId}-01`)).toEqual({ traceId, spanId, isSampled: true });
  expect(parseTraceParent(`00-${traceId}-${spanId}-00`)).toEqual({ traceId, spanId, isSampled: false });
  expect(parseTraceParent(`00-${traceId}-${spanId}-02`)?.isSampled).toBe(false);
  expect(parseTraceParent(`00-${traceId}-${spanId}-ff`)?.isSampled).toBe(true);
});

it("reads of a version to come what it knows", () => {
  expect(parseTraceParent(`cc-${traceId}-${spanId}-01`)).toEqual({ traceId, spanId, isSampled: true });
  expect(parseTraceParent(`cc-${traceId}-${spanId}-01-what-the-future-will-be-like`)?.traceId).toBe(traceId);
});

it.each([
  "",
  traceId,
  `00-${traceId}-${spanId}`,
  `00-${traceId}-${spanId}-1`,
  `00-${traceId}-${spanId}-01-more`,
  `00-${traceId}-${spanId}-01-`,
  `cc-${traceId}-${spanId}-01.more`,
  `ff-${traceId}-${spanId}-01`,
  `00-${"0".repeat(32)}-${spanId}-01`,
  `00-${traceId}-${"0".repeat(16)}-01`,
  `00-${traceId.toUpperCase()}-${spanId}-01`,
  ` 00-${traceId}-${spanId}-01`,
  `00-${traceId}-${spanId}-01, 00-${traceId}-${spanId}-01`,
])("takes %j for none", (text) => {
  expect(parseTraceParent(text)).toBeNull();
});

it("takes whatever is sent without an error", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f-]{50,60}$/)), (text) => {
      const parent = parseTraceParent(text);
      expect(parent === null || /^[0-9a-f]{32}$/.test(parent.traceId)).toBe(true);
    }),
  );
});
