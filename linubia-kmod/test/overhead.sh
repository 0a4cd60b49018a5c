#!/bin/sh
# Runs in a virtual machine that counts instructions: nanoseconds, which are instructions there, for a datagram sent and
# received over loopback; without the module, with users only and with flows.
#
#   overhead.sh OUT MODULE TRAFFIC ROUNDS
set -eu
out=$1 module=$2 traffic=$3 rounds=$4
ip link set lo up
measure() {
  for _ in 1 2 3; do "$traffic" blast "$rounds"; done | sort -n | head -n 1
}
none=$(measure)
insmod "$module" max_flows=0
users=$(measure)
rmmod linubia
insmod "$module"
flows=$(measure)
rmmod linubia
echo "{\"none\":$none,\"users\":$users,\"flows\":$flows}" >"$out/overhead"
