/** Something that a figure needs is not on this machine. The message says what. */
export class MissingError extends Error {}
