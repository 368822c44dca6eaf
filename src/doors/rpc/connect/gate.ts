import type { HandlerContext } from "@connectrpc/connect";
import { toConnectError } from "./connect-error.ts";
import { type Passage, passageOf } from "./passage.ts";

/** Ends a passage that is refused before anything of the request's body is read. */
export function gate(context: HandlerContext): void {
  const passage = passageOf(context.values);
  passage.context = context;
  if (passage.refusal !== null) {
    throw toConnectError(passage.refusal);
  }
}

/**
 * What a caller asks for may be long in coming, and its identity or role taken away since. Throws when it may call no
 * longer.
 */
export function judgeAgain({ call, admit }: Passage): void {
  const refusal = admit(call);
  if (refusal !== null) {
    throw toConnectError(refusal);
  }
}
