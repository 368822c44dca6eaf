/** A reason not to start. The message is one line for the person who starts the process, and says what to change. */
export class StartError extends Error {
  override readonly name = "StartError";
}
