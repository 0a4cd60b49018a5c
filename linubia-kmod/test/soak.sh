#!/bin/sh
# Runs in a virtual machine as root: for SECONDS loads and unloads the module, makes and removes network namespaces with
# traffic in them, reads all files, resets by netlink and changes limits, all at once and under traffic.
#
#   soak.sh OUT MODULE TRAFFIC SECONDS
set -eu
out=$1 module=$2 traffic=$3 seconds=$4
until=$(($(date +%s) + seconds))
more() { [ "$(date +%s)" -lt "$until" ]; }

ip link set lo up
ip netns add box
ip link add v0 type veth peer name v1 netns box
ip addr add 10.9.0.1/24 dev v0
ip -n box addr add 10.9.0.2/24 dev v1
ip link set v0 up
ip -n box link set v1 up
ip -n box link set lo up
# Something else stays at the hooks: see run.sh.
for family in ip ip6; do
  nft add table $family held
  for hook in input forward output postrouting; do
    nft "add chain $family held $hook { type filter hook $hook priority 0; }"
  done
done

"$traffic" stream 1000000 & stream=$!
ping -f -q -s 500 10.9.0.2 >/dev/null 2>&1 & flood=$!
( while more; do cat /proc/net/linubia/* >/dev/null 2>&1 || :; done ) & reader=$!
( n=0
  while more; do
    ip netns add soak$n
    ip -n soak$n link set lo up
    ip netns exec soak$n ping -c 3 -i 0.01 -q 127.0.0.1 >/dev/null 2>&1 || :
    ip netns exec soak$n cat /proc/net/linubia/users4 >/dev/null 2>&1 || :
    ip netns del soak$n
    n=$((n + 1))
    echo "$n namespaces at $(date +%T)" >"$out/progress.namespaces"
  done
  echo $n >"$out/namespaces" ) & namespaces=$!
loads=0 resets=0
while more; do
  insmod "$module" flow_idle=1
  i=0
  while [ $i -lt 5 ] && more; do
    # Resets and all other commands, malformed ones among them.
    "$traffic" fuzz 300 >/dev/null
    echo $((i * 50)) >/sys/module/linubia/parameters/max_flows
    echo $((1 + i * 3)) >/sys/module/linubia/parameters/max_users
    resets=$((resets + 1))
    echo "$loads loads, $resets resets at $(date +%T)" >"$out/progress"
    i=$((i + 1))
  done
  rmmod linubia
  loads=$((loads + 1))
done
wait $reader $namespaces
kill $stream $flood
wait $stream $flood 2>/dev/null || :
echo "{\"loads\":$loads,\"resets\":$resets,\"namespaces\":$(cat "$out/namespaces")}" >"$out/soak"
! [ -e /proc/net/linubia ]
