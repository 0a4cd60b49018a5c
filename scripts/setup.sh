#!/bin/sh
# Makes a fresh Debian machine ready: packages, modules, build. Says nothing and takes no time when all is there.
#
#   setup.sh build    what running darta needs
#   setup.sh test     also the programs that tests compare darta with; tests skip where one is absent
#   setup.sh lab      also the programs of which scripts/lab.mjs records the traffic
#
# Fetches from the Debian and npm registries only. Installs packages as root or through sudo; where it may not, it
# names what is missing and ends with status 1 if darta cannot be built without it.
set -eu
cd "$(dirname "$0")/.."
wanted=${1:-build}

say() { printf 'setup: %s\n' "$*" >&2; }
log=$(mktemp)
policy=
cleanup() {
  rm -f "$log"
  if [ -n "$policy" ]; then $as_root rm -f "$policy"; fi
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# Each line: a path (with pattern) or command that shows the package is there, and the package.
build_needs='
g++ g++
make make
'
test_needs='
bc bc
bison bison
busybox busybox-static
bzip2 bzip2
clang++-14 clang-14
/usr/lib/llvm-14/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a libclang-rt-14-dev
clang-format-14 clang-format-14
curl curl
ethtool ethtool
fish fish
flex flex
fprobe fprobe
freeDiameterd freediameterd
/usr/lib/freeDiameter/acl_wl.fdx freediameter-extensions
/usr/include/freeDiameter/extension.h libfreediameter-dev
ip iproute2
/usr/lib/*/faketime/libfaketimeMT.so.1 libfaketime
/usr/include/libelf.h libelf-dev
/usr/include/pcap/pcap.h libpcap-dev
ipfixDump libfixbuf-tools
jq jq
kcat kcat
lz4 lz4
mandoc mandoc
mmdblookup mmdb-bin
nats-server nats-server
modprobe kmod
nfacctd pmacct
nfdump nfdump
/usr/sbin/nft nftables
sfcapd nfdump-sflow
snmpd snmpd
snmptrap snmp
openssl openssl
ping iputils-ping
python3 python3
radclient freeradius-utils
qemu-system-x86_64 qemu-system-x86
softflowd softflowd
sparse sparse
systemd-analyze systemd
tcpdump tcpdump
tshark tshark
xz xz-utils
zsh zsh
zstd zstd
'
lab_needs='
chronyd chrony
curl curl
dig bind9-dnsutils
dnsmasq dnsmasq-base
ethtool ethtool
iperf3 iperf3
nginx nginx
nmap nmap
openssl openssl
ping iputils-ping
socat socat
sshd openssh-server
ssh openssh-client
tcpdump tcpdump
traceroute traceroute
tshark tshark
'

# Packages of the list on stdin of which the sign is absent.
missing() {
  while read -r sign package; do
    case $sign in
      '') ;;
      /*)
        # shellcheck disable=SC2086  # the sign is a pattern
        ls $sign >/dev/null 2>&1 || printf '%s ' "$package" ;;
      *) PATH=$PATH:/usr/sbin:/sbin command -v "$sign" >/dev/null 2>&1 || printf '%s ' "$package" ;;
    esac
  done
}

as_root=
can_install() {
  command -v apt-get >/dev/null 2>&1 || return 1
  [ "$(id -u)" -eq 0 ] && return 0
  command -v sudo >/dev/null 2>&1 || return 1
  as_root=sudo
  # A person may type a password; a script may not.
  if [ ! -t 0 ]; then sudo -n true 2>/dev/null; fi
}

install() {
  # shellcheck disable=SC2086  # a list of packages
  $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $1 >"$log" 2>&1
}

# Installs the packages of list $1; $2 names the group for people.
provide() {
  [ -n "$1" ] || return 0
  if ! can_install; then
    say "missing for $2, and neither root nor sudo nor apt-get to install it: $1"
    return 1
  fi
  say "installing for $2: $1"
  # Some of these packages would start a service; darta only wants the programs.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
  fi
  if ! $as_root apt-get update -qq >"$log" 2>&1; then cat "$log" >&2; fi
  install "$1" && return 0
  # One package that this system does not have must not keep the others away.
  failed=
  for package in $1; do
    install "$package" && continue
    cat "$log" >&2
    failed="$failed$package "
  done
  [ -z "$failed" ] && return 0
  say "could not install for $2: $failed"
  return 1
}

if ! provide "$(printf '%s' "$build_needs" | missing)" 'the build'; then
  say 'the build cannot work without them'
  exit 1
fi
if [ "$wanted" = test ]; then
  provide "$(printf '%s' "$test_needs" | missing)" 'the tests' || say 'the tests that need them are skipped'
  # Debian 12's server is not for clusters.
  sh scripts/nats-server.sh || say 'tests of a cluster of NATS servers are skipped'
fi
if [ "$wanted" = lab ]; then
  provide "$(printf '%s' "$lab_needs" | missing)" 'the lab' || exit 1
fi

# Modules: the hidden lock file that npm writes last says what lies in node_modules.
modules_are_locked() {
  [ -f node_modules/.package-lock.json ] && node -e '
    const read = (f) => JSON.parse(require("fs").readFileSync(f, "utf8")).packages
    const have = read("node_modules/.package-lock.json")
    for (const [path, {version, optional, os, cpu}] of Object.entries(read("package-lock.json"))) {
      const other = optional && (os || cpu)
      if (path !== "" && !other && have[path]?.version !== version) process.exit(1)
    }' 2>/dev/null
}
if ! modules_are_locked; then
  say 'installing modules (npm ci)'
  # No install scripts: that of cap would fetch headers of another Node than ours, and build for that one.
  if ! npm ci --ignore-scripts --loglevel=error >"$log" 2>&1; then
    cat "$log" >&2
    say 'npm ci failed'
    exit 1
  fi
fi
# The package "node" brings its program by an install script, which npm was told not to run.
if ! node_modules/.bin/node --version >/dev/null 2>&1; then
  say "fetching the packaged Node (npm rebuild node)"
  if ! npm rebuild node --ignore-scripts=false --loglevel=error >"$log" 2>&1 ||
    ! node_modules/.bin/node --version >/dev/null 2>&1; then
    cat "$log" >&2
    say 'the packaged Node could not be installed'
    exit 1
  fi
fi

node_modules/.bin/node scripts/build.mjs

# The package "cap" is for --backend libpcap alone: without it the rest is whole.
if [ -f /usr/include/pcap/pcap.h ] && ! make -s -C native cap >"$log" 2>&1; then
  cat "$log" >&2
  say 'the package cap could not be built: no --backend libpcap'
fi
