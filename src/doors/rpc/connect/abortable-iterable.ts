import { untilAborted } from "../../../wire/until-aborted.ts";

/** The same elements, but waiting for the next one ends with the signal's reason when it aborts. */
export function abortableIterable<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = source[Symbol.asyncIterator]();
      const release = () => {
        // Not awaited: a source that still waits for its next element would answer only after it.
        iterator.return?.()?.catch(() => {});
      };
      return {
        async next() {
          try {
            signal.throwIfAborted();
            return await untilAborted(iterator.next(), signal);
          } catch (error) {
            release();
            throw error;
          }
        },
        async return() {
          release();
          return { done: true, value: undefined };
        },
      };
    },
  };
}
