import { Code, type HandlerContext } from "@connectrpc/connect";
import { statusOf } from "../../calls/status.ts";
import { abortableIterable } from "./connect/abortable-iterable.ts";
import { toConnectError } from "./connect/connect-error.ts";
import { callOf } from "./connect/passage.ts";
import { createStreamSlots } from "./connect/stream-slots.ts";
import type { DescriptorIndex } from "./descriptor-index.ts";

const maxStreamsPerCaller = 100;
const maxQuestionsPerStream = 1000;
/** A stream without a question for so long ends, as one whose client has nothing left to ask. */
const silenceMs = 10_000;

type Question =
  | { readonly case: "fileByFilename"; readonly value: string }
  | { readonly case: "fileContainingSymbol"; readonly value: string }
  | {
      readonly case: "fileContainingExtension";
      readonly value: { readonly containingType: string; readonly extensionNumber: number };
    }
  | { readonly case: "allExtensionNumbersOfType"; readonly value: string }
  | { readonly case: "listServices"; readonly value: string }
  | { readonly case: undefined; readonly value?: undefined };

type ReflectionRequest = { readonly messageRequest: Question };

type Answer =
  | { readonly case: "fileDescriptorResponse"; readonly value: { readonly fileDescriptorProto: Uint8Array[] } }
  | {
      readonly case: "allExtensionNumbersResponse";
      readonly value: { readonly baseTypeName: string; readonly extensionNumber: number[] };
    }
  | { readonly case: "listServicesResponse"; readonly value: { readonly service: { readonly name: string }[] } }
  | { readonly case: "errorResponse"; readonly value: { readonly errorCode: number; readonly errorMessage: string } };

export type ReflectionOptions = {
  readonly index: DescriptorIndex;
  /** The full names of the services that are served. */
  readonly serviceNames: readonly string[];
  /** Ends the streams. */
  readonly shutdownSignal: AbortSignal;
};

/**
 * grpc.reflection: one implementation for v1 and v1alpha, which differ in nothing but their names. Answers leave out
 * original_request, which no client needs: nothing that was sent is repeated.
 */
export function createReflectionService({ index, serviceNames, shutdownSignal }: ReflectionOptions) {
  const slots = createStreamSlots(maxStreamsPerCaller);

  return {
    async *serverReflectionInfo(requests: AsyncIterable<ReflectionRequest>, { values }: HandlerContext) {
      using _slot = slots.take(callOf(values));
      const silence = new AbortController();
      const timer = setTimeout(() => silence.abort(), silenceMs);
      const end = AbortSignal.any([shutdownSignal, silence.signal]);
      let questions = 0;
      try {
        for await (const { messageRequest } of abortableIterable(requests, end)) {
          timer.refresh();
          questions += 1;
          if (questions > maxQuestionsPerStream) {
            const message = `a stream may ask ${maxQuestionsPerStream} questions: open another`;
            throw toConnectError(statusOf("TOO_MANY_REQUESTS", message));
          }
          yield { messageResponse: answer(messageRequest) };
        }
      } catch (error) {
        if (!end.aborted) {
          throw error;
        }
      } finally {
        clearTimeout(timer);
      }
    },
  };

  function answer(question: Question): Answer {
    switch (question.case) {
      case "listServices":
        return { case: "listServicesResponse", value: { service: serviceNames.map((name) => ({ name })) } };
      case "fileByFilename":
        return files(index.filesAt(question.value));
      case "fileContainingSymbol":
        return files(index.filesOfSymbol(question.value));
      case "fileContainingExtension":
        return files(index.filesOfExtension(question.value.containingType, question.value.extensionNumber));
      case "allExtensionNumbersOfType":
        return extensionNumbers(question.value);
      case undefined:
        return failure(Code.InvalidArgument, "the request asks for nothing that this version knows");
    }
  }

  function extensionNumbers(messageName: string): Answer {
    const numbers = index.extensionNumbers(messageName);
    return numbers === null
      ? failure(Code.NotFound, "there is no such message here")
      : { case: "allExtensionNumbersResponse", value: { baseTypeName: messageName, extensionNumber: [...numbers] } };
  }
}

function files(encoded: readonly Uint8Array[] | null): Answer {
  return encoded === null
    ? failure(Code.NotFound, "there is no such file, symbol or extension here")
    : { case: "fileDescriptorResponse", value: { fileDescriptorProto: [...encoded] } };
}

function failure(code: Code, message: string): Answer {
  return { case: "errorResponse", value: { errorCode: code, errorMessage: message } };
}
