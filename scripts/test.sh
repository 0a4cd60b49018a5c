#!/bin/sh
# Everything that must hold, from a fresh clone: set-up, build, generated files, style, types, tests.
# Ends with one line, `N passed, N failed` (`, N skipped` may follow); the status is 1 if anything failed.
# Arguments go to ava: `npm test -- build/test/ipfix/*.test.js` runs those tests alone.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/node_modules/.bin:$PATH
export PATH

passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' HUP INT TERM

# One check: its title, then the command. What it printed is shown when it failed.
check() {
  title=$1
  shift
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    echo "ok: $title"
  else
    failed=$((failed + 1))
    echo "FAILED: $title ($*)"
    cat "$log"
  fi
}

if sh scripts/setup.sh test; then
  passed=1
  echo 'ok: set-up and build, with types'
else
  echo 'FAILED: set-up or build'
  echo '0 passed, 1 failed'
  exit 1
fi
if [ $# -eq 0 ]; then
  check 'elements.ts and ie_ids.h are as the registry tables say' node scripts/registry.mjs --check
  check 'man pages and completions are as the commands say' node scripts/docs.mjs --check
  check 'format (npm run format mends it)' prettier --log-level warn --check .
  if command -v clang-format-14 >/dev/null && [ -f native/.clang-format ]; then
    check 'format of C++' sh -c 'git ls-files -z "native/*.cc" "native/*.h" | grep -zv ie_ids.h |
      xargs -0r clang-format-14 --dry-run -Werror'
  fi
  check 'lint' eslint --max-warnings 0 .
  check 'damaged input breaks nothing (a part of what npm run fuzz does)' node scripts/fuzz.mjs --ci --seconds 60
fi
node scripts/report.mjs --passed "$passed" --failed "$failed" "$@"
