/**
 * Calls back when a peer has been silent for `ms`: once what had come by then has been read. After a stop of the process or a long turn,
 * timers run before reads, and what we did not read would be the peer's silence. Returns what calls it off.
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
