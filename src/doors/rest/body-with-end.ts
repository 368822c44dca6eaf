/**
 * A body in one piece, which tells once when it was taken whole, or never will be: its reader has left, or the signal
 * aborts.
 */
export function bodyWithEnd(bytes: Uint8Array, signal: AbortSignal, onEnd: () => void): AsyncIterable<Uint8Array> {
  const end = () => {
    signal.removeEventListener("abort", end);
    onEnd();
  };
  if (signal.aborted) {
    onEnd();
  } else {
    signal.addEventListener("abort", end);
  }
  let isSent = false;
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        if (!isSent) {
          isSent = true;
          return { done: false, value: bytes };
        }
        // Asked for once what came before was taken.
        end();
        return { done: true, value: undefined };
      },
      async return() {
        end();
        return { done: true, value: undefined };
      },
    }),
  };
}
