/** One accepted socket that speaks a protocol. */
export type Connection = {
  /** Takes no new request, lets those under way end, then closes. Calling again changes nothing. */
  closeGracefully(): void;
};
