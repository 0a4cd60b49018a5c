#!/bin/sh
# Fetches a NATS server that is safe in clusters (2.10.23 or later) where Debian's own is older: the newer release's package, from
# the archive that this system's apt uses, with lists of its own; nothing is installed. It is kept as
# ~/.cache/darta-nats/nats-server (DARTA_NATS_CACHE says otherwise). Says nothing and takes no time when it is there.
set -eu
cache=${DARTA_NATS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/darta-nats}
release=trixie

# Whether this server is new enough.
is_safe() {
  version=$("$1" --version 2>/dev/null) || return 1
  version=${version##*v}
  [ "$(printf '2.10.23\n%s\n' "$version" | sort -V | head -n 1)" = 2.10.23 ]
}

server=$(PATH=$PATH:/usr/sbin command -v nats-server || true)
if [ -n "$server" ] && is_safe "$server"; then exit 0; fi
if is_safe "$cache/nats-server"; then exit 0; fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo 'nats-server.sh: no apt-get and dpkg-deb to fetch a server with' >&2
  exit 1
fi

mkdir -p "$cache"
# Two runs may fetch at once: each makes its own, and the last one stays.
own=$(mktemp -d "$cache/fetching-XXXXXX")
trap 'rm -rf "$own"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$own/lists/partial" "$own/archives/partial"
uri=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(CREATED_BY) $(REPO_URI)' |
  sed -n 's/^Debian main Packages //p' | grep -v security | head -n 1)
if [ -z "$uri" ]; then
  echo "nats-server.sh: apt has no archive of Debian" >&2
  exit 1
fi
keys=/usr/share/keyrings/debian-archive-keyring.gpg
signed=
if [ -f $keys ]; then signed="[signed-by=$keys] "; fi
echo "deb $signed$uri $release main" >"$own/sources.list"
options="-o Dir::Etc::sourcelist=$own/sources.list -o Dir::Etc::sourceparts=$own/none -o Dir::Etc::preferencesparts=$own/none
  -o Dir::State::lists=$own/lists -o Dir::Cache=$own -o Acquire::Languages=none -o APT::Sandbox::User="
mkdir -p "$own/none"
cd "$own"
# shellcheck disable=SC2086  # several options
if apt-get $options -qq update >log 2>&1 && apt-get $options -qq download nats-server >>log 2>&1 &&
  dpkg-deb -x nats-server_*.deb . && is_safe usr/sbin/nats-server; then
  mv usr/sbin/nats-server ../nats-server
else
  cat log >&2
  echo "nats-server.sh: no nats-server 2.10.23 or later could be fetched" >&2
  exit 1
fi
