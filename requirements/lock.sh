#!/bin/sh
# Pins requirements/*.in into *.txt with hashes, for every platform and Python from 3.11 on at once.
#   requirements/lock.sh [options for uv, such as --upgrade]
# No address of a package index enters the files; set UV_DEFAULT_INDEX to use another.
set -eu
cd "$(dirname "$0")"
lock() {
  ../.venv/bin/uv pip compile --quiet --no-header --universal --python-version 3.11 --generate-hashes \
    --fork-strategy fewest --no-emit-index-url --no-emit-find-links "$@"
}
lock "$@" dev.in -o dev.txt
# One version of a package everywhere: the other sets are constrained by the largest.
for name in api worker client up generators; do
  lock -c dev.txt "$name.in" -o "$name.txt"
done
