/**
 * Two numbers that all threads see: one moves with each change, the other tells whether the write-ahead log is long.
 */
export type ChangeSignal = SharedArrayBuffer;

const changes = 0;
const longLog = 1;

/** Makes a signal for one store. */
export function createChangeSignal(): ChangeSignal {
  return new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
}

/** Reads it: one load. */
export function createSignalReader(signal: ChangeSignal): () => number {
  const cells = new Int32Array(signal);
  return () => Atomics.load(cells, changes);
}

/** Moves it, and wakes who waits for that. It may wrap around: only being another one counts. */
export function createSignalBump(signal: ChangeSignal): () => void {
  const cells = new Int32Array(signal);
  return () => {
    Atomics.add(cells, changes, 1);
    Atomics.notify(cells, changes);
  };
}

/** Resolves once the signal is another one: at once where it is. */
export function createSignalWait(signal: ChangeSignal): (seen: number) => Promise<void> {
  const cells = new Int32Array(signal);
  return async (seen) => {
    await Atomics.waitAsync(cells, changes, seen).value;
  };
}

/** Reads whether the write-ahead log is long. */
export function createLongLogReader(signal: ChangeSignal): () => boolean {
  const cells = new Int32Array(signal);
  return () => Atomics.load(cells, longLog) === 1;
}

/** Says whether it is. */
export function createLongLogMark(signal: ChangeSignal): (isLong: boolean) => void {
  const cells = new Int32Array(signal);
  return (isLong) => {
    Atomics.store(cells, longLog, isLong ? 1 : 0);
  };
}
