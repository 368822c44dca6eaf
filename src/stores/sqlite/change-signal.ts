/** A number that all threads see, and that moves with each change. */
export type ChangeSignal = SharedArrayBuffer;

/** Makes a signal for one store. */
export function createChangeSignal(): ChangeSignal {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/** Reads it: one load. Hot path. */
export function createSignalReader(signal: ChangeSignal): () => number {
  const cell = new Int32Array(signal);
  return () => Atomics.load(cell, 0);
}

/** Moves it. It may wrap around: only being another one counts. */
export function createSignalBump(signal: ChangeSignal): () => void {
  const cell = new Int32Array(signal);
  return () => {
    Atomics.add(cell, 0, 1);
  };
}
