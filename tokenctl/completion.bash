# Completes commands, options, and what an option may be, as manual.txt has them.
_tokenctl() {
  local manual=MANUAL before=${COMP_WORDS[COMP_CWORD - 1]} text words
  if [ "$COMP_CWORD" = 1 ]; then
    words=$(sed -n '2,$s/^\([a-z-][a-z-]*\).*/\1/p' "$manual")
  else
    text=$(sed -n "1,/^\$/p; /^${COMP_WORDS[1]}\( \|\$\)/,/^\$/p" "$manual")
    case $text in *@filters*) text="$text$(sed -n '/^@filters/,$p' "$manual" | tail -n +2)" ;; esac
    words=$(sed -n "s/^  $before \([a-z]*|[a-z|]*\).*/\1/p" <<<"$text" | tail -n 1 | tr '|' ' ')
    [ -n "$words" ] || words=$(grep -o -e '^  --[a-z-]*' <<<"$text")
  fi
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _tokenctl tokenctl
