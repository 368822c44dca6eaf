import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { type Call, fail } from "../../../calls/call.ts";
import { messageUndecodable, unknownFieldNumber } from "../../../calls/request-errors.ts";
import { unknownFieldPath } from "../connect/unknown-field-path.ts";

/**
 * Reads the message that lies in `bytes` from `start` up to `end`, until this returns; null once it has noted on the
 * call why it does not: no such message, or a field that is unknown.
 */
export type ReadMessage<Input extends DescMessage> = (
  bytes: Buffer,
  start: number,
  end: number,
  call: Call,
) => MessageShape<Input> | null;

/** As the general way reads it. What protobuf-es says of other bytes may quote them, and goes nowhere. */
export function createMessageReader<Input extends DescMessage>(input: Input): ReadMessage<Input> {
  const undecodable = messageUndecodable(input);

  return (bytes, start, end, call) => {
    let message: MessageShape<Input>;
    try {
      // A copy: what has the type bytes, and what is unknown, would be a view of it for as long as the message lives.
      message = fromBinary(input, Uint8Array.prototype.slice.call(bytes, start, end));
    } catch {
      return fail(call, undecodable);
    }
    const path = unknownFieldPath(input, message);
    return path === null ? message : fail(call, unknownFieldNumber(input, path));
  };
}
