import { StartError } from "./start-error.ts";

/** An error as it crosses from one thread to another, which classes and many properties do not survive. */
export type Failure = {
  readonly message: string;
  /** The driver's or the system's code, such as `SQLITE_FULL`. */
  readonly code: string | null;
  /** Whether it is a StartError, which a person can mend. */
  readonly isStartError: boolean;
};

export function toFailure(error: unknown): Failure {
  if (!(error instanceof Error)) {
    return { message: String(error), code: null, isStartError: false };
  }
  return { message: error.message, code: codeOf(error), isStartError: error instanceof StartError };
}

export function fromFailure(failure: Failure): Error {
  const error = failure.isStartError ? new StartError(failure.message) : new Error(failure.message);
  return Object.assign(error, failure.code === null ? {} : { code: failure.code });
}

function codeOf(error: Error): string | null {
  return "code" in error && typeof error.code === "string" ? error.code : null;
}
