/**
 * Tells a body that it will not be read on, and does not wait: a generator that waits for something takes the return
 * only when that has come.
 */
export function closeIterator(iterator: AsyncIterator<Uint8Array>): void {
  iterator.return?.().catch(ignore);
}

function ignore(): void {}
