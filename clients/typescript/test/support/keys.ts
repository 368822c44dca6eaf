/** Well-formed, and nobody's. */
export const unknownKey = "rk_live_000000000000000000000000000000000ij8Fb";
