/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * LINUBIA: IP traffic of this host by the user that owns the socket.
 *
 * This header is the contract of the generic netlink family "linubia". It only
 * grows: commands, attributes, rows and statistics are added at their end, and
 * so are members of structures, whose length a reader takes from the attribute.
 */
#ifndef _UAPI_LINUBIA_H
#define _UAPI_LINUBIA_H

#include <linux/types.h>

#define LINUBIA_GENL_NAME		"linubia"
#define LINUBIA_GENL_VERSION		1
#define LINUBIA_GENL_FLOW_ENDS		"flow-ends"
#define LINUBIA_COMM_OCTETS		16

/**
 * enum linubia_command - commands of the family
 * @LINUBIA_CMD_UNSPEC: none
 * @LINUBIA_CMD_GET_USERS: dump of rows: users and remainders. With the flag
 *	%LINUBIA_A_RESET the counters are those since the last such dump and
 *	the next one starts from here; no packet is lost between the two.
 * @LINUBIA_CMD_GET_FLOWS: dump of flows, of one user if %LINUBIA_A_UID is given
 * @LINUBIA_CMD_GET_INTERFACES: dump of interfaces, needs CAP_NET_ADMIN
 * @LINUBIA_CMD_GET_STATS: version, limits and statistics
 * @LINUBIA_CMD_SET: changes the limits given; needs CAP_NET_ADMIN on the host
 * @LINUBIA_CMD_FLUSH: ends all flows of the namespace; needs CAP_NET_ADMIN
 * @LINUBIA_CMD_FLOW_END: multicast: a flow has ended, or goes on (flags say so)
 *
 * Without CAP_NET_ADMIN over the network namespace a caller sees the row and
 * the flows of his own uid and no other.
 */
enum linubia_command {
	LINUBIA_CMD_UNSPEC,
	LINUBIA_CMD_GET_USERS,
	LINUBIA_CMD_GET_FLOWS,
	LINUBIA_CMD_GET_INTERFACES,
	LINUBIA_CMD_GET_STATS,
	LINUBIA_CMD_SET,
	LINUBIA_CMD_FLUSH,
	LINUBIA_CMD_FLOW_END,
	__LINUBIA_CMD_AFTER_LAST
};

#define LINUBIA_CMD_MAX (__LINUBIA_CMD_AFTER_LAST - 1)

/**
 * enum linubia_attribute - attributes of all commands
 * @LINUBIA_A_UNSPEC: none
 * @LINUBIA_A_PAD: padding
 * @LINUBIA_A_RESET: flag, of GET_USERS
 * @LINUBIA_A_ROW: u8, &enum linubia_row
 * @LINUBIA_A_UID: u32, the user's id as the reader's user namespace has it
 * @LINUBIA_A_NS_UID: u32, as the user namespace has it that owns the network
 *	namespace
 * @LINUBIA_A_COUNTERS: &struct linubia_counters
 * @LINUBIA_A_FLOW: &struct linubia_flow_record
 * @LINUBIA_A_IFINDEX: u32
 * @LINUBIA_A_INTERFACE: &struct linubia_interface_counters
 * @LINUBIA_A_STATS: array of u64, indices are &enum linubia_stat
 * @LINUBIA_A_VERSION: string, of the module
 * @LINUBIA_A_MAX_USERS: u32, most users per network namespace
 * @LINUBIA_A_MAX_FLOWS: u32, most flows of the host; 0 keeps none
 * @LINUBIA_A_FLOW_IDLE: u32, seconds without a packet after which a flow ends
 * @LINUBIA_A_FLOW_ACTIVE: u32, seconds after which a long flow is reported
 */
enum linubia_attribute {
	LINUBIA_A_UNSPEC,
	LINUBIA_A_PAD,
	LINUBIA_A_RESET,
	LINUBIA_A_ROW,
	LINUBIA_A_UID,
	LINUBIA_A_NS_UID,
	LINUBIA_A_COUNTERS,
	LINUBIA_A_FLOW,
	LINUBIA_A_IFINDEX,
	LINUBIA_A_INTERFACE,
	LINUBIA_A_STATS,
	LINUBIA_A_VERSION,
	LINUBIA_A_MAX_USERS,
	LINUBIA_A_MAX_FLOWS,
	LINUBIA_A_FLOW_IDLE,
	LINUBIA_A_FLOW_ACTIVE,
	__LINUBIA_A_AFTER_LAST
};

#define LINUBIA_A_MAX (__LINUBIA_A_AFTER_LAST - 1)

/**
 * enum linubia_row - what a row of counters is about
 * @LINUBIA_ROW_USER: a user, by uid
 * @LINUBIA_ROW_FORWARDED: routed through this host, counted in and out
 * @LINUBIA_ROW_KERNEL: sockets of the kernel and what it sends and answers by
 *	itself: ICMP, neighbour discovery, resets
 * @LINUBIA_ROW_CLOSING: connections whose socket is gone (TIME_WAIT)
 * @LINUBIA_ROW_NONE: arrived for no socket
 * @LINUBIA_ROW_OVERFLOW: of users for whom there was no room or memory
 * @LINUBIA_ROW_COPIES: counted for more than one user (multicast, broadcast,
 *	raw sockets): to be subtracted where rows are summed
 * @LINUBIA_ROWS: how many there are
 */
enum linubia_row {
	LINUBIA_ROW_USER,
	LINUBIA_ROW_FORWARDED,
	LINUBIA_ROW_KERNEL,
	LINUBIA_ROW_CLOSING,
	LINUBIA_ROW_NONE,
	LINUBIA_ROW_OVERFLOW,
	LINUBIA_ROW_COPIES,
	LINUBIA_ROWS
};

enum linubia_family { LINUBIA_IPV4, LINUBIA_IPV6, LINUBIA_FAMILIES };

enum linubia_protocol {
	LINUBIA_TCP,
	LINUBIA_UDP,
	LINUBIA_ICMP,	/* ICMP and ICMPv6 */
	LINUBIA_OTHER,
	LINUBIA_PROTOCOLS
};

enum linubia_direction { LINUBIA_IN, LINUBIA_OUT, LINUBIA_DIRECTIONS };

/**
 * struct linubia_cell - packets and the octets of their IP headers and payload
 * @packets: as on the wire: segments of an offloaded packet and fragments are
 *	counted one by one
 * @octets: IPv4 total length, IPv6 payload length + 40
 */
struct linubia_cell {
	__u64 packets;
	__u64 octets;
};

/** struct linubia_counters - of one row; they never go backwards */
struct linubia_counters {
	struct linubia_cell cell[LINUBIA_FAMILIES][LINUBIA_PROTOCOLS]
				[LINUBIA_DIRECTIONS];
};

/**
 * enum linubia_way - how a packet passed an interface
 * @LINUBIA_WAY_IN: to a socket or the kernel of this host
 * @LINUBIA_WAY_OUT: from one
 * @LINUBIA_WAY_FORWARD_IN: arrived to be routed on
 * @LINUBIA_WAY_FORWARD_OUT: left after being routed
 * @LINUBIA_WAY_LOOPED: multicast or broadcast that the host sent and hears
 *	itself; interfaces do not count it
 * @LINUBIA_WAYS: how many there are
 */
enum linubia_way {
	LINUBIA_WAY_IN,
	LINUBIA_WAY_OUT,
	LINUBIA_WAY_FORWARD_IN,
	LINUBIA_WAY_FORWARD_OUT,
	LINUBIA_WAY_LOOPED,
	LINUBIA_WAYS
};

/**
 * struct linubia_interface_counters - what passed one interface
 * @wire: packets as on the wire
 * @buffers: as the host handed them over: an offloaded packet of many segments
 *	is one. Virtual interfaces count these, hardware counts @wire.
 */
struct linubia_interface_counters {
	struct linubia_cell wire[LINUBIA_FAMILIES][LINUBIA_WAYS];
	struct linubia_cell buffers[LINUBIA_FAMILIES][LINUBIA_WAYS];
};

/* Flags of a flow. */
#define LINUBIA_FLOW_OWNED	0x01	/* uid is valid */
#define LINUBIA_FLOW_LISTENER	0x02	/* of the listener, no accept() yet */
#define LINUBIA_FLOW_PROCESS	0x04	/* process seen using the socket */
#define LINUBIA_FLOW_SHARED	0x08	/* more than one process used it */
#define LINUBIA_FLOW_GOES_ON	0x20	/* reported for its age, not its end */

/**
 * struct linubia_flow_record - one flow, both directions
 * @local: address of this host, IPv4 in the first 4 octets
 * @remote: address of the other
 * @local_port: in network octet order; of an ICMP echo the id of the asker
 * @remote_port: in network octet order
 * @family: 4 or 6
 * @protocol: IP protocol number
 * @flags: LINUBIA_FLOW_*
 * @uid: the reader's user namespace
 * @ns_uid: the network namespace's user namespace
 * @tgid: process id in the reader's pid namespace, 0 if unknown
 * @ifindex: interface of the last packet
 * @comm: name of the process
 * @cgroup: id of the socket's cgroup (version 2), 0 if unknown
 * @cookie: of the socket, as inet_diag and SO_COOKIE tell it
 * @first_ns: first packet, nanoseconds since 1970
 * @last_ns: last packet
 * @in: packets and octets to @local
 * @out: packets and octets from @local
 */
struct linubia_flow_record {
	__u8 local[16];
	__u8 remote[16];
	__be16 local_port;
	__be16 remote_port;
	__u8 family;
	__u8 protocol;
	__u16 flags;
	__u32 uid;
	__u32 ns_uid;
	__u32 tgid;
	__u32 ifindex;
	char comm[LINUBIA_COMM_OCTETS];
	__u64 cgroup;
	__u64 cookie;
	__u64 first_ns;
	__u64 last_ns;
	struct linubia_cell in;
	struct linubia_cell out;
};

/**
 * enum linubia_stat - statistics of a network namespace
 * @LINUBIA_STAT_USERS: users with a row
 * @LINUBIA_STAT_USERS_FULL: packets in the overflow row for want of room
 * @LINUBIA_STAT_USERS_NO_MEMORY: packets there for want of memory
 * @LINUBIA_STAT_FLOWS: flows held
 * @LINUBIA_STAT_FLOWS_BEGUN: flows made since loading
 * @LINUBIA_STAT_FLOWS_FULL: packets in no flow for want of room
 * @LINUBIA_STAT_FLOWS_NO_MEMORY: packets in no flow for want of memory
 * @LINUBIA_STAT_EVENTS_LOST: reports of flows that no listener had room for
 * @LINUBIA_STAT_BY_SKB: packets whose socket was known already
 * @LINUBIA_STAT_BY_LOOKUP: arriving packets whose socket had to be looked for
 * @LINUBIA_STAT_BY_FLOW: packets given to the owner remembered in the flow
 * @LINUBIA_STAT_BY_ECHO: ICMP answers given to the asker
 * @LINUBIA_STAT_MALFORMED: packets too short for their headers
 * @LINUBIA_STAT_RECEIVERS_MORE: copies for users beyond the first 16 of a packet
 * @LINUBIA_STAT_OCTETS: memory of rows and flows of the namespace, octets
 * @LINUBIA_STATS: how many there are
 */
enum linubia_stat {
	LINUBIA_STAT_USERS,
	LINUBIA_STAT_USERS_FULL,
	LINUBIA_STAT_USERS_NO_MEMORY,
	LINUBIA_STAT_FLOWS,
	LINUBIA_STAT_FLOWS_BEGUN,
	LINUBIA_STAT_FLOWS_FULL,
	LINUBIA_STAT_FLOWS_NO_MEMORY,
	LINUBIA_STAT_EVENTS_LOST,
	LINUBIA_STAT_BY_SKB,
	LINUBIA_STAT_BY_LOOKUP,
	LINUBIA_STAT_BY_FLOW,
	LINUBIA_STAT_BY_ECHO,
	LINUBIA_STAT_MALFORMED,
	LINUBIA_STAT_RECEIVERS_MORE,
	LINUBIA_STAT_OCTETS,
	LINUBIA_STATS
};

#endif /* _UAPI_LINUBIA_H */
