#!/bin/sh
# Builds darta if need be, then measures a recorded network and shows what was on it.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh build
PATH=$PWD/bin:$PATH
export PATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
ln -s "$PWD/test/fixtures/lab.pcap" "$folder/lab.pcap"
cd "$folder"

# One step: what it is about, the command, and what it prints.
show() {
  printf '\n# %s\n$ %s\n' "$1" "$2"
  sh -c "$2" 2>&1
}

echo 'Two clients, a router and a server, recorded at the router for 32 seconds (test/fixtures/lab.pcap).'
show 'What is in the capture? Each frame is accounted for.' \
  'darta info -q -r lab.pcap'
show 'Meter it: packets become Flow Records in an IPFIX file. No packet goes missing unnamed.' \
  'darta capture -r lab.pcap -w lab.ipfix'
show 'Who sent most? The meter is at one end of a pipe, the analysis at the other; IPFIX goes through it.' \
  'darta capture -q -r lab.pcap | darta analyze top -q -k 5 -o table'
show 'What did they talk about? The same questions can be put to the file.' \
  'darta analyze protocols -q -r lab.ipfix -k 8 -o table'
show 'Which network sent how much to which?' \
  'darta analyze matrix -q -r lab.ipfix --src-prefix 24 --dst-prefix 24 -o table'
show 'Who scanned? Many Flows, hardly any octets, from one address to one address.' \
  'darta analyze top -q -r lab.ipfix -s srcip,dstip/flows -k 2 -o table'
show 'The first of the records, as a table.' \
  'darta print -q -r lab.ipfix -o table | head -n 6'
show 'One of them for programs: JSON lines with the element names of the IANA registry.' \
  'darta print -q -r lab.ipfix -o ndjson:bare | sed -n 3p'
show 'Is the file what RFC 7011 asks for?' \
  'darta info -r lab.ipfix --check'
