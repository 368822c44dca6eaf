/**
 * Calls back when a peer has been silent for `ms`, once everything that had come by then has been read. After a stop of
 * the process or a long turn, timers run before reads: bytes that we had not read would count as silence. Returns what
 * calls it off.
 */
export function startSilenceTimer(ms: number, onSilence: () => void): () => void {
  let immediate: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    immediate = setImmediate(onSilence);
  }, ms);
  return () => {
    clearTimeout(timer);
    clearImmediate(immediate);
  };
}
