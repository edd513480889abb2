#!/usr/bin/env bash
# Fails on a blank line before a return, a continue or a break, which no linter finds: blank lines
# separate paragraphs, and such a statement belongs to the one before it.
#
#   scripts/blanks.sh         # prints the places
#   scripts/blanks.sh --fix   # removes the lines
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t files < <(git ls-files '*.go' ':!gen/')
if [[ ${1-} == --fix ]]; then
  perl -0pi -e 's/\n\n(?=\t+(?:return|continue|break)\b)/\n/g' "${files[@]}"
  exit
fi
perl -ne '
  if ($blank && /^\t+(return|continue|break)\b/) { print "$ARGV:$.: a blank line before $1\n"; $found = 1 }
  $blank = /^$/;
  close ARGV if eof;
  END { $? = 1 if $found }
' "${files[@]}"
