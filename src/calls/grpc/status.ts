/** An error as a call ends with it. */
export type Status = {
  /** The gRPC status code: 3. */
  readonly code: number;
  /** By name: `INVALID_ARGUMENT`. */
  readonly codeName: string;
  /** The ErrorInfo's reason, of an error that has one. */
  readonly reason: string | null;
  readonly message: string;
  /** The google.rpc.Status, encoded; empty when it has nothing to add. */
  readonly detailsBin: Uint8Array;
  /** What the log has beside it: never sent. */
  readonly details?: Readonly<Record<string, string>> | null;
  /** By what the one who asks knows the request, where its error is about one. */
  readonly requestId?: string | null;
};

/** The errors that a lane finds by itself, in the words of the general way. */
export type Statuses = {
  readonly malformed: Status;
  /** Not exactly one message. */
  readonly notSupported: Status;
  readonly tooLarge: Status;
  /** A compressed message without the name of its compression. */
  readonly compressionUnnamed: Status;
  readonly deadlineExceeded: Status;
  /** Told to nobody but those who count: the client has gone. */
  readonly canceled: Status;
  /** The error that a call failed with; told to the log where its caller learns nothing of it. */
  ofError(error: unknown): Status;
};

/** Those that only Authenticate has. */
export type AuthenticateStatuses = Statuses & {
  /** allowed_types holds a number of no type. */
  readonly typesInvalid: Status;
  /** The message has a field of a number that this version does not know. */
  unknownField(number: number): Status;
};
