/** The mutants of Stryker that live, each with the reason why no test needs to see it. */
export const survivors: readonly { readonly mutant: string; readonly reason: string }[] = [];
