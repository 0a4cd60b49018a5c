#!/bin/sh
# Runs in a virtual machine as root: loads the module, makes the traffic of traffic.c, leaves in the folder OUT what the
# kernel counted and what tcpdump saw. Whoever started the machine compares them.
#
#   run.sh OUT MODULE TRAFFIC PACKETS PROCESSES MESSAGES ROUNDS [DARTA]
set -eu
out=$1 module=$2 traffic=$3 packets=$4 processes=$5 messages=$6 rounds=$7 darta=${8-}

say() { echo "== $*"; }
tables() {
  for file in users4 users6 flows stats interfaces; do cat "/proc/net/linubia/$file" >"$out/$1.$file"; done
  for file in users4 users6 flows; do
    ip netns exec box cat "/proc/net/linubia/$file" >"$out/$1.box.$file"
  done
}
# Waits until no counter has moved for a moment: the last packets are answered in softirqs.
settle() {
  before=
  while :; do
    now=$(cat /proc/net/linubia/users4 /proc/net/linubia/users6 | cksum)
    [ "$now" = "$before" ] && break
    before=$now
    sleep 0.3
  done
}
offloads() {
  ethtool -K lo tso "$1" gso "$1" gro "$1" >/dev/null
  ethtool -K v0 tso "$1" gso "$1" gro "$1" tx-checksum-ip-generic "$1" >/dev/null
  ip netns exec box ethtool -K v1 tso "$1" gso "$1" gro "$1" tx-checksum-ip-generic "$1" >/dev/null
}

say load
# A slow machine takes longer for the cases than the minute after which a silent flow is reported and forgotten.
insmod "$module" flow_idle=3600
ip netns add box
sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0 net.ipv4.ping_group_range='0 65535'
ip netns exec box sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
ip link add v0 type veth peer name v1 netns box
ip addr add 10.9.0.1/24 dev v0
ip -n box addr add 10.9.0.2/24 dev v1
ip addr add fd09::1/64 dev v0 nodad
ip -n box addr add fd09::2/64 dev v1 nodad
ip link set lo up
ip -n box link set lo up
offloads off
tcpdump -i lo -n -U -s 200 -B 32768 -w "$out/lo.pcap" 2>"$out/lo.said" & lo=$!
ip link set v0 up
ip -n box link set v1 up
tcpdump -i v0 -n -U -s 200 -B 32768 -w "$out/v0.pcap" 2>"$out/v0.said" & v0=$!
until grep -q listening "$out/lo.said" && grep -q listening "$out/v0.said"; do sleep 0.1; done
settle
tables before
say cases
"$traffic" cases >"$out/owners"
settle
tables after
# A last packet that both can be seen to have written: what lies in their buffers when they are told to end is lost.
ping -c 1 -q -p 6c696e7562696121 127.0.0.1 >/dev/null
ping -c 1 -q -p 6c696e7562696121 10.9.0.2 >/dev/null
until grep -qaF 'linubia!linubia!' "$out/lo.pcap" && grep -qaF 'linubia!linubia!' "$out/v0.pcap"; do sleep 0.1; done
kill -INT $lo $v0
wait $lo $v0 || :

say forward
ip netns add far
ip -n box link add f0 type veth peer name f1 netns far
ip -n box addr add 10.9.1.1/24 dev f0
ip -n far addr add 10.9.1.2/24 dev f1
ip -n box link set f0 up
ip -n far link set f1 up
ip netns exec box sysctl -qw net.ipv4.ip_forward=1
ip route add 10.9.1.0/24 via 10.9.0.2
ip -n far route add default via 10.9.1.1
ip netns exec box cat /proc/net/linubia/users4 >"$out/forward.before"
ping -c 20 -i 0.01 -s 1000 -q 10.9.1.2 >/dev/null
ip netns exec box cat /proc/net/linubia/users4 >"$out/forward.after"
ip netns exec far cat /proc/net/linubia/users4 >"$out/forward.far"

# What it says of itself would be counted with others' packets below.
ip netns del far
ip route del 10.9.1.0/24

say segments
tables segments.before
offloads on
"$traffic" segments >/dev/null
settle
tables segments.after
cat /proc/net/dev >"$out/segments.dev"
offloads off

say tunnel
ip link add x0 type vxlan id 9 remote 10.9.0.2 local 10.9.0.1 dstport 4789 dev v0
ip -n box link add x1 type vxlan id 9 remote 10.9.0.1 local 10.9.0.2 dstport 4789 dev v1
ip addr add 10.9.9.1/24 dev x0
ip -n box addr add 10.9.9.2/24 dev x1
ip link set x0 up
ip -n box link set x1 up
tables tunnel.before
setpriv --reuid=2300 --clear-groups ping -c 10 -i 0.01 -s 500 -q 10.9.9.2 >/dev/null
settle
tables tunnel.after
# Both ends: the other one would ask for its neighbour when packets are counted below.
ip link del x0
ip -n box link del x1

say readers
setpriv --reuid=2001 --clear-groups cat /proc/net/linubia/users4 >"$out/own.users4"
setpriv --reuid=2001 --clear-groups cat /proc/net/linubia/interfaces >"$out/own.interfaces"

devices() {
  cat /proc/net/dev >"$out/$1.dev"
  ip netns exec box cat /proc/net/dev >"$out/$1.box.dev"
}
if [ -n "$darta" ]; then
  say twins
  # Both sources count the same packets. Without flows the module has what is of no live socket in rows of its own, as the
  # programs see only live sockets.
  sysctl -qw net.linubia.max_flows=0
  # Nobody asks for addresses while interfaces are held against accounts.
  v0=$(cat /sys/class/net/v0/address)
  v1=$(ip -n box -br link show v1 | awk '{print $3}')
  for at in 10.9.0.2 fd09::2; do ip neigh replace $at dev v0 lladdr "$v1" nud permanent; done
  for at in 10.9.0.1 fd09::1; do ip -n box neigh replace $at dev v1 lladdr "$v0" nud permanent; done
  # Nor for those of the link, of which each learnt when it was asked before.
  for at in $(ip -n box -6 -o addr show dev v1 scope link | awk '{sub("/.*", "", $4); print $4}'); do
    ip neigh replace "$at" dev v0 lladdr "$v1" nud permanent
  done
  for at in $(ip -6 -o addr show dev v0 scope link | awk '{sub("/.*", "", $4); print $4}'); do
    ip -n box neigh replace "$at" dev v1 lladdr "$v0" nud permanent
  done
  "$darta" user-map --source ebpf --interval 1h -n -o ndjson >"$out/twin.ndjson" 2>"$out/twin.said" & twin=$!
  until grep -q 'from now on' "$out/twin.said"; do
    kill -0 $twin
    sleep 0.2
  done
  settle
  tables twin.before
  devices twin.before
fi

say million
"$traffic" million "$packets" | tail -n 1 >"$out/million"

if [ -n "$darta" ]; then
  for at in 127.0.0.1 10.9.0.2 ::1 fd09::2; do
    setpriv --reuid=2400 --clear-groups ping -c 20 -i 0.01 -s 200 -q $at >/dev/null
  done
  settle
  tables twin.after
  devices twin.after
  kill -TERM $twin
  wait $twin
fi

say brief
echo 65536 >/sys/module/linubia/parameters/max_flows
"$traffic" brief "$processes" >"$out/brief"
tables brief

if [ -n "$darta" ]; then
  say command
  "$darta" user-map status >"$out/status.said"
  "$darta" user-map --source kmod --once --processes -nn -o ndjson -w "$out/map.ndjson" --force
  "$darta" user-map --source kmod --once --reset -n -o ndjson >/dev/null
  "$traffic" brief 10 >/dev/null
  "$darta" user-map --source kmod --once --reset -n -o ndjson >"$out/reset.ndjson"
  setpriv --reuid=2001 --clear-groups "$darta" user-map --source kmod --once -n -o ndjson >"$out/own.ndjson"
  # One that only receives is named by what it has open.
  "$traffic" stream 1000 & stream=$!
  until grep -q ' 60000 ' /proc/net/linubia/flows; do sleep 0.1; done
  "$darta" user-map --source kmod --once --processes -n -o ndjson >"$out/receiver.ndjson"
  kill $stream
  wait $stream || :
  ping -i 0.01 -q 10.9.0.2 >/dev/null & ping=$!
  "$darta" user-map audit --interval 500ms >"$out/audit.said"
  kill $ping
  wait $ping || :
fi

say limits
# Refused values change nothing.
for value in -1 0 9999999999 x; do
  if echo $value >/sys/module/linubia/parameters/max_users 2>/dev/null; then echo "took max_users $value"; fi
done
if sysctl -qw net.linubia.flow_idle=0 2>/dev/null; then echo 'took flow_idle 0'; fi
sysctl -qw net.linubia.max_flows=100000 net.linubia.flow_idle=1
grep -q '^max_flows 100000$' /proc/net/linubia/stats
sysctl -qw net.linubia.max_users="$(sed -n 's/^users //p' /proc/net/linubia/stats)"
setpriv --reuid=64000 --clear-groups ping -c 3 -i 0.01 -q 127.0.0.1 >/dev/null
tables overflow
sysctl -qw net.linubia.max_users=16384 net.linubia.max_flows=0

say timewait
# Nothing is remembered of a connection now but that it is closing.
tables timewait.before
"$traffic" timewait >/dev/null
settle
tables timewait.after

say fuzz
"$traffic" fuzz "$messages" >"$out/fuzz"

# Something else stays at the hooks: the kernel would patch its code each time that the last one goes, and emulators that
# run processors side by side can be left with the old instruction for ever (at ip_local_deliver's jump label).
for family in ip ip6; do
  nft add table $family held
  for hook in input forward output postrouting; do
    nft "add chain $family held $hook { type filter hook $hook priority 0; }"
  done
done

say reload
# Loaded and unloaded, namespaces made and removed, all files read, while packets flow.
"$traffic" stream 100000 & stream=$!
i=0
while [ $i -lt "$rounds" ]; do
  rmmod linubia
  insmod "$module" flow_idle=1
  ip netns add brief$i
  ip netns exec brief$i ping -c 1 -q 127.0.0.1 >/dev/null 2>&1 || :
  cat /proc/net/linubia/* >/dev/null &
  ip netns del brief$i
  wait $!
  i=$((i + 1))
done
kill $stream
wait $stream 2>/dev/null || :
rmmod linubia
! [ -e /proc/net/linubia ]
! [ -e /proc/sys/net/linubia ]
say done
