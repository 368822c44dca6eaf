import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Admit } from "../../../calls/admission.ts";
import { type Call, fail } from "../../../calls/call.ts";
import type { RespondInLane } from "../../../calls/grpc/unary-lane.ts";
import { callCanceled } from "../../../calls/status.ts";
import type { Turns } from "../../../machine/turns.ts";
import { lengthPrefixed } from "../../../wire/protobuf/length-prefixed.ts";
import { createMessageReader } from "./read-message.ts";

/**
 * Answers the message of an RPC from bytes to bytes, as the general way does without compression. The bytes are read
 * until this returns. Rejects with whatever the method rejects with.
 */
export function createMessageAnswer<Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodUnary<Input, Output>,
  answer: (request: MessageShape<Input>, call: Call) => Promise<MessageInitShape<Output>>,
  { turns, admit }: { readonly turns: Turns; readonly admit: Admit },
): RespondInLane {
  const readMessage = createMessageReader(method.input);

  return (bytes, start, end, call, stream) => {
    const request = readMessage(bytes, start, end, call);
    return request === null ? null : answerInTurn(request, call, stream);
  };

  async function answerInTurn(
    request: MessageShape<Input>,
    call: Call,
    stream: { readonly isClosed: boolean },
  ): Promise<Uint8Array | null> {
    const turn = turns.begin();
    if (turn !== null) {
      await turn;
      if (stream.isClosed) {
        // Nothing was done, and the client has gone: the calls of waiting clients get their turns sooner.
        return fail(call, callCanceled);
      }
    }
    // Once its turn has come: the identity may have been taken away while it waited.
    const refusal = admit(call);
    if (refusal !== null) {
      return fail(call, refusal);
    }
    const response = create(method.output, await answer(request, call));
    return lengthPrefixed(toBinary(method.output, response));
  }
}
