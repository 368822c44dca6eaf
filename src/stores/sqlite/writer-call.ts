import type { Failure } from "../../machine/failure.ts";
import type { BackgroundCall, ChangeAnswer, ChangeCall, Done } from "../changes/change-call.ts";

export type WriterCall = ChangeCall | BackgroundCall;

export type WriterAnswer = ChangeAnswer | Done | { readonly method: "failed"; readonly failure: Failure };

/** From a serving thread to the writer. */
export type WriterRequest = { readonly id: number; readonly call: WriterCall };

/** All that a serving thread sends to the writer. The store is lost when a read found it damaged. */
export type WriterMessage = WriterRequest | { readonly lost: Failure };

/** What became of the request with this id. */
export type WriterResult = { readonly id: number; readonly answer: WriterAnswer };

/** From the writer to a serving thread. After `fatal` comes nothing more. */
export type WriterReply =
  | { readonly kind: "answers"; readonly answers: readonly WriterResult[] }
  | { readonly kind: "fatal"; readonly failure: Failure };
