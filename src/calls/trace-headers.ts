/**
 * What a caller told of the trace that its call belongs to (W3C Trace Context), as it was sent: nothing has checked it
 * yet.
 */
export type TraceHeaders = {
  readonly traceparent: string;
  /** Null when there was none. */
  readonly tracestate: string | null;
};

/** Takes them from a request's header. Null when there is no traceparent, and always where calls are not traced. */
export type ReadTrace = (header: Headers) => TraceHeaders | null;

/** For those who answer traced calls. */
export function readTrace(header: Headers): TraceHeaders | null {
  const traceparent = header.get("traceparent");
  return traceparent === null ? null : { traceparent, tracestate: header.get("tracestate") };
}

/** For those who answer calls that are not traced: looks at nothing. */
export function readNoTrace(): null {
  return null;
}
