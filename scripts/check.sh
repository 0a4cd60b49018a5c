#!/bin/sh
# Everything to run before a commit: what git says of blanks in the change, and the whole test run.
set -eu
cd "$(dirname "$0")/.."
git diff --check HEAD
exec sh scripts/test.sh
