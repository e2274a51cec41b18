#!/bin/sh
# Makes .venv with the Python that the tests have passed on, and installs one set of requirements.
#   requirements/install.sh up|dev
set -eu
cd "$(dirname "$0")/.."
set_name=${1:?up or dev}

say() { echo "drybeans: $*" >&2; }

# A name on the PATH may be a version manager's stub for a Python that is not there: ask each.
# The one that the tests have passed on comes first.
find_python() {
  for python in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  say "needs Python 3.11 or newer, and found none${PYTHON:+ at $PYTHON}."
  say "Install it (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python),"
  say "or name one: make PYTHON=/path/to/python3.11 …"
  return 1
}

# Debian splits venv from python3.
make_venv() {
  if ! "$1" -c 'import ensurepip' 2>/dev/null; then
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
      say "this Python cannot make a virtual environment. Debian, Ubuntu: sudo apt install $package"
      return 1
    fi
    say "installing $package"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
  fi
  "$1" -m venv --clear .venv
}

if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  python=$(find_python)
  say "making .venv with $("$python" --version)"
  make_venv "$python"
fi
say "installing requirements/$set_name.txt"
# Compiling every module takes longer than all else; see below for those that are used.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes \
  -r "requirements/$set_name.txt"
# Links this folder and the `drybeans` command into .venv.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
  --no-index -e .
# Compiles what the parts load, once for all of them, and also where the environment tells Python not
# to. It only saves time, so a fault in the code is left to whoever runs it to tell.
env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -c \
  'import api.app, shared.db.migrate, worker.models.loader, worker.batch.run, worker.sweep' 2>/dev/null || true
