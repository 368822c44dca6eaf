/** The greatest request message, before and after decompression. */
export const maxMessageBytes = 65_536;
