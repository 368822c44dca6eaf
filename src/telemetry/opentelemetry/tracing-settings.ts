/** What calls are traced with: what the standard's variables say, read and found good. */
export type TracingSettings = {
  /** Where spans go: OTLP over HTTP, in protobuf. */
  readonly url: string;
  /** May hold a credential. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** PEM files, each null when it is not set: the collector's CAs, and our certificate and key for it. */
  readonly tlsFiles: { readonly ca: string | null; readonly certificate: string | null; readonly key: string | null };
  /** What every span says of who made it; `service.name` is among them. */
  readonly resource: Readonly<Record<string, string>>;
  readonly sampling: Sampling;
  readonly batch: {
    readonly delayMs: number;
    readonly exportTimeoutMs: number;
    readonly maxQueueSize: number;
    readonly maxBatchSize: number;
  };
};

/** Which of the calls that are sampled are recorded. */
export type Sampling = {
  /** Whether a caller that tells of a trace decides by its sampled flag. */
  readonly isParentBased: boolean;
  /** The share of the others. */
  readonly ratio: number;
};
