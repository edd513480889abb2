#!/usr/bin/env bash
# Fails on words that the project does not use, in the comments, docs, names and texts of
# tracked files, and prints the words to use instead. CONTRIBUTING.md has the glossary.
#
#   scripts/words.sh            # all tracked files
#   scripts/words.sh docs       # those below a path
#   scripts/words.sh --count    # how many lines there are, by word and folder
#
# A line that needs such a word ends with a comment that has the marker words:ok. A path that
# needs it is in scripts/words.allow.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
count=false
if [[ ${1-} == --count ]]; then
  count=true
  shift
fi
paths=()
for path; do
  paths+=("$(realpath -- "$path")")
done
cd "$root"
((${#paths[@]})) || paths=(.)

# A rule is a word, the words to use instead, a fixed part of what the pattern finds, the
# pattern, and a text that it must find: a pattern that finds nothing fails. A `<` before a
# pattern is where a word begins, also one within an identifier: at a capital behind a small
# letter. A `>` is where a word ends: a small letter does not follow.
rules=(
  'household; address key; household; <household>; householdOf'
  'whoever; the client, the caller, any that; whoever; <whoever>; Whoever asks'
  'whom; the client that, for which; whom; <whom>; by whom'
  'that which; the name of the thing; that which; <that which>; as that which begins'
  'visitor; client; visitor; <visitors?>; type visitor struct'
  'journey; request record; journey; <journeys?>; journeyEnd'
  'voice; client stream; voice; <voices?>; newVoice'
  'seat; slot, permit; seat; <seat(s|ed)?>; TestSeatsAreReturned'
  'guest; slot, permit; guest; <guests?>; a guest of'
  'lean; ensure main; lean; <lean(s|ed|ing|t)?>; t.leansOn = main'
  'revive; reopen; reviv; <reviv(e|es|ed|ing|al)>; TestACatchUpRevivesMain'
  'send away; ask to reconnect, dismiss, shed; away; <(send|sends|sent|sending)[ _]([[:alnum:]]+[ _]){0,3}away>; sends no client away'
  'turn away; ask to reconnect, dismiss, shed; away; <(turn|turns|turned|turning)[ _]([[:alnum:]]+[ _]){0,3}away>; TestTurnedAway'
  'anew; again, or new; anew; <anew>; begins anew'
  'thereby; so, by this; thereby; <thereby>; and thereby'
  'for ever; forever; for ever; <for ever>; and so for ever'
)

# What is generated or written by others is checked at its source, or not at all.
excluded=(
  ':!LICENSE' ':!THIRD_PARTY_NOTICES' ':!*.sum' ':!*lock.json' ':!gen' ':!docs/ssebridge.schema.json' ':!deploy/helm/ssebridge/rules.yaml'
  ':!scripts/words.sh' ':!scripts/words.allow'
)

# words splits identifiers at their capitals, and writes small letters: leansOn is leans_on.
words() { sed -E 's/([a-z0-9])([A-Z])/\1_\2/g; s/([A-Z])([A-Z][a-z])/\1_\2/g' | tr '[:upper:]' '[:lower:]'; }

# expression prints the regular expression of a pattern, for a text of words.
expression() {
  local begins='(^|[^[:alnum:]])' ends='($|[^[:alnum:]])'
  local pattern=${1//</$begins}
  printf '%s' "${pattern//>/$ends}"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Few lines have any of the words, as fixed strings: git finds these fast.
stems=()
for rule in "${rules[@]}"; do
  IFS=';' read -r _ _ stem _ <<<"${rule//; /;}"
  stems+=(-e "$stem")
done
# git grep ends with 1 where it finds nothing, and with more where it fails.
git grep -InFi "${stems[@]}" -- "${paths[@]}" "${excluded[@]}" | grep -v 'words:ok' >"$work/lines" || ((PIPESTATUS[0] <= 1))
sed -E 's/^[^:]*:[0-9]*://' "$work/lines" | words >"$work/text"

for rule in "${rules[@]}"; do
  IFS=';' read -r word instead _ pattern example <<<"${rule//; /;}"
  regex=$(expression "$pattern")
  if ! words <<<"$example" | grep -Eq -- "$regex"; then
    echo "scripts/words.sh: the pattern of \"$word\" does not find \"$example\"" >&2
    exit 2
  fi
  grep -nE -- "$regex" "$work/text" | cut -d: -f1 >"$work/found" || true
  awk -v word="$word" -v instead="$instead" '
    FILENAME == ARGV[1] { if ($0 !~ /^#/ && substr($0, index($0, " ") + 1) == word) allowed[++n] = $1; next }
    FILENAME == ARGV[2] { found[$1]; next }
    FNR in found {
      path = substr($0, 1, index($0, ":") - 1)
      for (i = 1; i <= n; i++) if (index(path, allowed[i]) == 1) next
      print word "\t" instead "\t" $0
    }' scripts/words.allow "$work/found" "$work/lines" >>"$work/report"
done

found=$(wc -l <"$work/report")
if $count; then
  sed -E 's#^([^\t]*)\t[^\t]*\t([^:]*/)?[^/:]*:.*#\1\t\2#' "$work/report" | sort | uniq -c
else
  awk -F '\t' '{
    word = $1; instead = $2; line = substr($0, length(word) + length(instead) + 3)
    match(line, /^[^:]*:[0-9]*:/)
    text = substr(line, RLENGTH + 1); sub(/^[ \t]+/, "", text)
    print substr(line, 1, RLENGTH) " \"" word "\": write " instead ": " substr(text, 1, 120)
  }' "$work/report"
fi
if ((found)); then
  echo "$found lines have words that the project does not use (CONTRIBUTING.md has the glossary)" >&2
  exit 1
fi
