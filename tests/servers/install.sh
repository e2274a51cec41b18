#!/bin/sh
# Installs the servers and the browser that tests need, where that can be done: on Debian or Ubuntu as root.
# The packages' own services are not started; tests start their servers by themselves.
set -eu
missing=
command -v redis-server >/dev/null || command -v valkey-server >/dev/null || missing="$missing redis-server"
[ -x /usr/sbin/mariadbd ] || command -v mariadbd >/dev/null || missing="$missing mariadb-server"
if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null &&
  ! command -v google-chrome >/dev/null && ! command -v google-chrome-stable >/dev/null; then
  # A browser is no use without a font.
  missing="$missing chromium fonts-inter"
fi
# It comes with promtool.
command -v promtool >/dev/null && command -v prometheus >/dev/null || missing="$missing prometheus"
command -v tini >/dev/null || missing="$missing tini"
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "drybeans: not installed:$missing. Tests that need them use DRYBEANS_TEST_DATABASE_URL and" >&2
  echo "drybeans: DRYBEANS_TEST_REDIS_URL where these are set, and are skipped otherwise;" >&2
  echo "drybeans: those of the pages need chromium or Chrome." >&2
  exit 0
fi
echo "drybeans: installing$missing" >&2
# Debian asks this program whether a package may start its service; 101 means no.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
fi
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
