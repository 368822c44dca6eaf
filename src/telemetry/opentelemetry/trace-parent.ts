/** The caller's span, as `traceparent` names it. */
export type TraceParent = {
  /** 32 hexadecimal digits, in lower case, not all 0. */
  readonly traceId: string;
  /** 16 of them. */
  readonly spanId: string;
  readonly isSampled: boolean;
};

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const noTraceId = "0".repeat(32);
const noSpanId = "0".repeat(16);

/**
 * Reads a `traceparent` (W3C Trace Context, 3.2), or answers null when it is invalid, which is as good as none. Of a
 * version that is newer than ours, what comes after the flags is not looked at.
 */
export function parseTraceParent(text: string): TraceParent | null {
  const [, version, traceId = noTraceId, spanId = noSpanId, flags = "", more] = pattern.exec(text) ?? [];
  const isKnown = version === "00" ? more === undefined : version !== "ff";
  if (!isKnown || traceId === noTraceId || spanId === noSpanId) {
    return null;
  }
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}
