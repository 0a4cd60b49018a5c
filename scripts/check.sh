#!/bin/sh
# Everything to run before a commit: the whole test run, and what git and clang-format say of the change.
set -eu
cd "$(dirname "$0")/.."
git diff --check HEAD
if command -v clang-format-14 >/dev/null && [ -f .clang-format ]; then
  git ls-files -z 'native/*.cc' 'native/*.h' | grep -zv ie_ids.h | xargs -0r clang-format-14 --dry-run -Werror
fi
exec sh scripts/test.sh
