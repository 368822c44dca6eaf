/**
 * Scripts whose letters join, or stack on one another: there U+200C and U+200D change what is seen, and spell words. Of
 * them are those of Persian, Hindi, Bengali and Sinhala.
 */
const joiningScripts = [
  ...["Arabic", "Syriac", "Mandaic", "Nko", "Mongolian", "Phags_Pa", "Adlam", "Hanifi_Rohingya"],
  ...["Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala"],
  ...["Tibetan", "Myanmar", "Khmer", "Balinese", "Javanese", "Sundanese", "Tai_Tham", "Meetei_Mayek", "Chakma"],
];

/**
 * Characters that show nothing by themselves, where they are part of what is seen: a joiner between letters of one of
 * those scripts (UAX 31, 2.3, and UTS 39, 3.1.1, ask for such a context), or after the mark that takes a vowel away and
 * may end a word (a virama); a joiner between emoji, and the tags of a flag (UTS 51); and the selector of a variant
 * after a character that has some.
 */
const meaningful = new RegExp(
  [
    ...joiningScripts.map((script) => {
      const letter = `[\\p{scx=${script}}&&[\\p{L}\\p{M}]]`;
      return `(?<=${letter})[\\u200c\\u200d](?=${letter})`;
    }),
    "(?<=[\\u094d\\u09cd\\u0a4d\\u0acd\\u0b4d\\u0bcd\\u0c4d\\u0ccd\\u0d4d\\u0dca])\\u200d",
    "(?<=\\p{ExtPict}[\\ufe0f\\p{EMod}]?)\\u200d(?=\\p{ExtPict})",
    "(?<=[\\p{Emoji}\\p{S}])[\\ufe00\\ufe0e\\ufe0f]|(?<=\\p{Ideographic})\\p{VS}",
    "(?<=\\p{scx=Mongolian})[\\u180b-\\u180d\\u180f]|(?<=[\\p{scx=Myanmar}\\p{scx=Phags_Pa}])\\ufe00",
    "\\p{RGI_Emoji_Tag_Sequence}",
  ].join("|"),
  "gv",
);

/**
 * Control characters, those that show nothing (Cf and Default_Ignorable_Code_Point: fillers, and what turns the writing
 * direction, are among them), the two separators that break lines, and halves of surrogate pairs.
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{DI}\u2028\u2029]/v;

/** What leaves ink: letters, digits, punctuation and symbols, except fillers and the blank of Braille. */
const visible = /[[\p{L}\p{N}\p{P}\p{S}]--[\p{DI}\u2800]]/v;

/** Whether the text looks like what it is: nothing in it is invisible but what shapes its neighbours. */
export function isPrintable(text: string): boolean {
  return !unprintable.test(text.replaceAll(meaningful, ""));
}

/** The same of a part of such a text, which may begin and end anywhere. */
export function isPartOfPrintable(text: string): boolean {
  return !unprintable.test(text.replaceAll(/[\u200c\u200d\p{VS}\u{e0020}-\u{e007f}]/gv, ""));
}

/** Whether anything of it can be seen. */
export function hasVisibleCharacter(text: string): boolean {
  return visible.test(text);
}

/** The text without the blanks around it. Takes time by the square of its length: bound that first. */
export function withoutOuterBlanks(text: string): string {
  return text.replaceAll(/^\p{Zs}+|\p{Zs}+$/gv, "");
}
