/* SPDX-License-Identifier: GPL-2.0 */
/*
 * LINUBIA: what the parts of the module share.
 */
#ifndef _LINUBIA_H
#define _LINUBIA_H

#include <linux/atomic.h>
#include <linux/hash.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "uapi/linubia.h"

/* Kernels may be built to clear all locals, which costs more than the rest. */
#if __has_attribute(__uninitialized__)
#define LINUBIA_UNINITIALIZED __attribute__((__uninitialized__))
#else
#define LINUBIA_UNINITIALIZED
#endif

#define LINUBIA_MODULE_VERSION	"1.0"

struct net;
struct proc_dir_entry;
struct seq_file;
struct sock;
struct user_namespace;
struct pid_namespace;

/**
 * enum linubia_part - what an IPv6 packet is a part of
 * @LINUBIA_WHOLE: of nothing
 * @LINUBIA_FIRST: the fragment with the transport header
 * @LINUBIA_LATER: one without
 */
enum linubia_part { LINUBIA_WHOLE, LINUBIA_FIRST, LINUBIA_LATER };

/**
 * struct linubia_packet - what the accounts need to know of a packet
 * @family: &enum linubia_family
 * @class: &enum linubia_protocol
 * @protocol: IP protocol number
 * @offset: of the transport header from skb->data
 * @packets: on the wire: segments or fragments
 * @octets: of IP on the wire
 * @merged: packets that the interface hands over as one, less 1
 * @merged_octets: headers that the interface does not see for it
 * @part: &enum linubia_part
 * @part_id: identification of the IPv6 packet that a fragment is of
 */
struct linubia_packet {
	u8 family;
	u8 class;
	u8 protocol;
	u8 part;
	u16 offset;
	__be32 part_id;
	u32 packets;
	u32 octets;
	u32 merged;
	u32 merged_octets;
};

/**
 * struct linubia_owner - whose packet it is
 * @uid: of the user, if @row is %LINUBIA_ROW_USER
 * @row: &enum linubia_row
 * @listener: the socket has not been accepted yet, so @uid may change
 * @opening: first packet of a connection
 * @sk: the user's socket, NULL if only the uid is known
 */
struct linubia_owner {
	kuid_t uid;
	u8 row;
	bool listener;
	bool opening;
	struct sock *sk;
};

/**
 * struct linubia_account - counters of one row
 * @node: in &struct linubia_net.users
 * @uid: of a user
 * @row: &enum linubia_row
 * @counters: one block per CPU
 * @base: sums when they were last read and reset
 * @rcu: to free it
 */
struct linubia_account {
	struct hlist_node node;
	kuid_t uid;
	u8 row;
	struct linubia_counters __percpu *counters;
	struct linubia_counters base;
	struct rcu_head rcu;
};

/** struct linubia_ways - counters of an interface on one CPU */
struct linubia_ways {
	struct linubia_cell wire[LINUBIA_FAMILIES][LINUBIA_WAYS];
	struct linubia_cell merged[LINUBIA_FAMILIES][LINUBIA_WAYS];
};

/**
 * struct linubia_interface - counters of one interface
 * @node: in &struct linubia_net.interfaces
 * @ifindex: of the interface
 * @ways: one block per CPU
 * @rcu: to free it
 */
struct linubia_interface {
	struct hlist_node node;
	int ifindex;
	struct linubia_ways __percpu *ways;
	struct rcu_head rcu;
};

/** struct linubia_stats - statistics on one CPU */
struct linubia_stats {
	u64 value[LINUBIA_STATS];
};

#define LINUBIA_HOOKS		6
#define LINUBIA_INTERFACE_BITS	5
#define LINUBIA_USER_BITS_MAX	12
#define LINUBIA_MAX_INTERFACES	4096

/**
 * struct linubia_net - all there is per network namespace
 * @net: the namespace
 * @user_ns: the user namespace that owns it
 * @rows: the remainders; that of %LINUBIA_ROW_USER is not used
 * @stats: statistics
 * @users: hash table of &struct linubia_account
 * @user_bits: binary logarithm of its size
 * @user_count: accounts in it
 * @interfaces: hash table of &struct linubia_interface
 * @interface_count: interfaces in it
 * @flow_count: flows of this namespace
 * @lock: of changes to @users and @interfaces
 * @reset: held by who reads and resets
 * @proc: /proc/net/linubia
 * @hooks: as registered, with this structure as their private data
 * @began_ns: real time since when its counters count
 */
struct linubia_net {
	struct net *net;
	struct user_namespace *user_ns;
	struct linubia_account rows[LINUBIA_ROWS];
	struct linubia_stats __percpu *stats;
	struct hlist_head *users;
	unsigned int user_bits;
	unsigned int user_count;
	struct hlist_head interfaces[1 << LINUBIA_INTERFACE_BITS];
	unsigned int interface_count;
	atomic_t flow_count;
	spinlock_t lock;	/* see above */
	struct mutex reset;	/* see above */
	struct proc_dir_entry *proc;
	struct nf_hook_ops hooks[LINUBIA_HOOKS];
	u64 began_ns;
};

/** struct linubia_key - of a flow; octets that mean nothing are 0 */
struct linubia_key {
	const struct linubia_net *ln;
	struct in6_addr local;
	struct in6_addr remote;
	__be16 local_port;
	__be16 remote_port;
	u8 family;
	u8 protocol;
	u16 zero;
};

/**
 * struct linubia_flow - one flow, both directions
 * @node: in the flow table
 * @key: addresses and ports
 * @uid: owner, if flags say that there is one
 * @flags: LINUBIA_FLOW_*
 * @ifindex: of the last packet
 * @tgid: process, as the initial pid namespace numbers it
 * @comm: its name
 * @cgroup: id of the socket's cgroup
 * @cookie: of the socket
 * @begun_ns: real time of the first packet
 * @begun: the same in jiffies
 * @seen: last packet
 * @reported: when listeners last heard of it
 * @packets: in and out
 * @octets: in and out
 * @rcu: to free it
 */
struct linubia_flow {
	struct hlist_node node;
	struct linubia_key key;
	kuid_t uid;
	u16 flags;
	int ifindex;
	pid_t tgid;
	char comm[LINUBIA_COMM_OCTETS];
	u64 cgroup;
	u64 cookie;
	u64 begun_ns;
	unsigned long begun;
	unsigned long seen;
	unsigned long reported;
	atomic64_t packets[LINUBIA_DIRECTIONS];
	atomic64_t octets[LINUBIA_DIRECTIONS];
	struct rcu_head rcu;
};

/* main.c */
extern unsigned int linubia_max_users;
extern unsigned int linubia_max_flows;
extern unsigned int linubia_flow_idle;
extern unsigned int linubia_flow_active;
int linubia_set_limit(int attribute, u32 value);
struct linubia_net *linubia_pernet(const struct net *net);

/* packet.c */
bool linubia_dissect6(const struct sk_buff *skb, struct linubia_packet *p);
void linubia_count_segments(const struct sk_buff *skb,
			    struct linubia_packet *p);
void linubia_count_fragments(struct linubia_packet *p, unsigned int headers,
			     unsigned int mtu);

static inline u8 linubia_class(u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return LINUBIA_TCP;
	case IPPROTO_UDP:
		return LINUBIA_UDP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return LINUBIA_ICMP;
	default:
		return LINUBIA_OTHER;
	}
}

/**
 * linubia_dissect - reads the IP header of a packet
 * @skb: packet, with skb->data at its IP header
 * @family: &enum linubia_family
 * @p: filled; packets and octets are those of the buffer as it is
 *
 * Return: false if headers are cut short; protocol and size are right even then.
 */
static __always_inline bool linubia_dissect(const struct sk_buff *skb,
					    u8 family,
					    struct linubia_packet *p)
{
	bool whole = true;

	p->family = family;
	p->packets = 1;
	p->octets = skb->len;
	p->merged = 0;
	p->merged_octets = 0;
	p->part = LINUBIA_WHOLE;
	if (family == LINUBIA_IPV4) {
		const struct iphdr *ip = ip_hdr(skb);

		p->protocol = ip->protocol;
		p->offset = skb_network_offset(skb) + ip->ihl * 4;
	} else {
		whole = linubia_dissect6(skb, p);
	}
	p->class = linubia_class(p->protocol);
	return whole;
}

/* account.c */
int linubia_accounts_init(struct linubia_net *ln);
void linubia_accounts_exit(struct linubia_net *ln);
struct linubia_account *linubia_user_begin(struct linubia_net *ln, kuid_t uid);
void linubia_interface_gone(struct linubia_net *ln, int ifindex);
void linubia_sum(const struct linubia_account *account,
		 struct linubia_counters *sum);
void linubia_subtract(struct linubia_counters *from,
		      const struct linubia_counters *what);
void linubia_interface_sum(const struct linubia_interface *interface,
			   struct linubia_interface_counters *sum);
struct linubia_interface *linubia_interface_begin(struct linubia_net *ln,
						  int ifindex);
void linubia_stats_sum(const struct linubia_net *ln, u64 *sum);

static inline void linubia_stat(const struct linubia_net *ln,
				enum linubia_stat which)
{
	this_cpu_inc(ln->stats->value[which]);
}

static inline void linubia_stat_add(const struct linubia_net *ln,
				    enum linubia_stat which, u64 n)
{
	this_cpu_add(ln->stats->value[which], n);
}

static inline struct hlist_head *linubia_user_slot(const struct linubia_net *ln,
						   kuid_t uid)
{
	return &ln->users[hash_32(__kuid_val(uid), ln->user_bits)];
}

/**
 * linubia_account - adds a packet to the row of its owner
 * @ln: accounts of the network namespace
 * @p: the packet
 * @owner: its owner
 * @direction: &enum linubia_direction
 *
 * Context: RCU read side; softirq or process.
 */
static __always_inline void linubia_account(struct linubia_net *ln,
					    const struct linubia_packet *p,
					    const struct linubia_owner *owner,
					    int direction)
{
	struct linubia_counters __percpu *counters;
	struct linubia_account *account;
	kuid_t uid = owner->uid;

	if (unlikely(owner->row != LINUBIA_ROW_USER)) {
		account = &ln->rows[owner->row];
		goto found;
	}
	hlist_for_each_entry_rcu(account, linubia_user_slot(ln, uid), node)
		if (likely(uid_eq(account->uid, uid)))
			goto found;
	account = linubia_user_begin(ln, uid);
found:
	counters = account->counters;
	this_cpu_add(counters->cell[p->family][p->class][direction].packets,
		     p->packets);
	this_cpu_add(counters->cell[p->family][p->class][direction].octets,
		     p->octets);
}

/**
 * linubia_pass - counts a packet at an interface
 * @ln: accounts of the network namespace
 * @ifindex: of the interface
 * @p: the packet
 * @way: &enum linubia_way
 *
 * Context: RCU read side.
 */
static __always_inline void linubia_pass(struct linubia_net *ln, int ifindex,
					 const struct linubia_packet *p,
					 int way)
{
	unsigned int slot = ifindex & ((1 << LINUBIA_INTERFACE_BITS) - 1);
	struct linubia_interface *interface;
	struct linubia_ways __percpu *ways;

	hlist_for_each_entry_rcu(interface, &ln->interfaces[slot], node)
		if (interface->ifindex == ifindex)
			goto found;
	interface = linubia_interface_begin(ln, ifindex);
	if (!interface)
		return;
found:
	ways = interface->ways;
	this_cpu_add(ways->wire[p->family][way].packets, p->packets);
	this_cpu_add(ways->wire[p->family][way].octets, p->octets);
	if (unlikely(p->merged)) {
		this_cpu_add(ways->merged[p->family][way].packets, p->merged);
		this_cpu_add(ways->merged[p->family][way].octets,
			     p->merged_octets);
	}
}

/* flow.c */
int linubia_flows_init(void);
void linubia_flows_exit(void);
struct linubia_flow *linubia_flow_find(const struct linubia_key *key);
bool linubia_flow_packet(struct linubia_net *ln, const struct linubia_key *key,
			 const struct linubia_packet *p,
			 struct linubia_owner *owner, int direction,
			 int ifindex);
void linubia_flows_flush(const struct linubia_net *ln);
u32 linubia_flow_collect(u32 from, u32 slots);
u32 linubia_flow_slots(void);
struct hlist_head *linubia_flow_slot(u32 slot);

/* The three that need the kernel around the table: main.c, netlink.c. */
u64 linubia_now_ns(void);
void linubia_capture_process(struct linubia_flow *flow, struct sock *sk,
			     int direction);
void linubia_report_flow(const struct linubia_flow *flow, bool goes_on);

/* hook.c */
void linubia_hooks_init(void);
int linubia_hooks_register(struct linubia_net *ln);
void linubia_hooks_unregister(struct linubia_net *ln);

/**
 * struct linubia_reader - who looks, and what he may see
 * @user_ns: his user namespace
 * @pid_ns: his pid namespace
 * @uid: his own
 * @all: he has CAP_NET_ADMIN over the network namespace
 */
struct linubia_reader {
	struct user_namespace *user_ns;
	struct pid_namespace *pid_ns;
	kuid_t uid;
	bool all;
};

static inline bool linubia_may_see(const struct linubia_reader *reader,
				   u8 row, kuid_t uid)
{
	return reader->all ||
	       (row == LINUBIA_ROW_USER && uid_eq(uid, reader->uid));
}

void linubia_flow_record(const struct linubia_flow *flow,
			 const struct linubia_reader *reader,
			 struct linubia_flow_record *record);

/* netlink.c */
int linubia_netlink_init(void);
void linubia_netlink_exit(void);

/* proc.c */
extern const char *const linubia_row_names[LINUBIA_ROWS];
int linubia_proc_init(struct linubia_net *ln);
void linubia_proc_exit(struct linubia_net *ln);

#endif /* _LINUBIA_H */
