// SPDX-License-Identifier: GPL-2.0
/*
 * LINUBIA: netfilter hooks, and whose a packet is.
 *
 * Outgoing packets bring their socket. Arriving ones bring it where early
 * demultiplexing found it; for the others the lookup that the protocol is about
 * to make is made here. The hooks stand behind firewall and address
 * translation, so what they drop is nobody's, and they let everything pass.
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/random.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/if_inet6.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/raw.h>
#include <net/rawv6.h>
#include <net/route.h>

#include "compat.h"
#include "linubia.h"

/* Behind all that drops or rewrites (filter, NAT, security). */
#define LINUBIA_PRIORITY	250

/* Users that one multicast packet is told apart for. */
#define LINUBIA_RECEIVERS	16

/* Smaller packets are never cut in pieces: least MTU of IPv4 hosts, RFC 791. */
#define LINUBIA_NEVER_CUT	576

/**
 * struct linubia_ends - where a packet goes to and comes from
 * @source: address, IPv4 in the first 4 octets; the others are not set
 * @dest: address
 * @source_port: or 0
 * @dest_port: or 0
 * @dif: interface it arrived on
 * @sdif: that interface, where @dif is its VRF device
 */
struct linubia_ends {
	struct in6_addr source;
	struct in6_addr dest;
	__be16 source_port;
	__be16 dest_port;
	int dif;
	int sdif;
};

static __always_inline void linubia_ends(const struct sk_buff *skb, u8 family,
					 struct linubia_ends *ends)
{
	if (family == LINUBIA_IPV4) {
		ends->source.s6_addr32[0] = ip_hdr(skb)->saddr;
		ends->dest.s6_addr32[0] = ip_hdr(skb)->daddr;
	} else {
		ends->source = ipv6_hdr(skb)->saddr;
		ends->dest = ipv6_hdr(skb)->daddr;
	}
	ends->source_port = 0;
	ends->dest_port = 0;
}

static __always_inline bool linubia_has_ports(const struct linubia_packet *p)
{
	return p->class == LINUBIA_UDP || p->class == LINUBIA_TCP ||
	       (p->class == LINUBIA_OTHER &&
		(p->protocol == IPPROTO_SCTP || p->protocol == IPPROTO_DCCP ||
		 p->protocol == IPPROTO_UDPLITE));
}

/* Clears what IPv4 addresses leave open, where all of them is looked at. */
static __always_inline void linubia_ends_whole(u8 family,
					       struct linubia_ends *ends)
{
	if (family != LINUBIA_IPV4)
		return;
	memset(&ends->source.s6_addr32[1], 0, 12);
	memset(&ends->dest.s6_addr32[1], 0, 12);
}

/* Fills in the ports; false if the packet is too short for them. */
static __always_inline bool linubia_ports(const struct sk_buff *skb,
					  const struct linubia_packet *p,
					  struct linubia_ends *ends)
{
	__be16 buffer[2];
	const __be16 *ports = skb_header_pointer(skb, p->offset,
						 sizeof(buffer), buffer);

	if (unlikely(!ports))
		return false;
	ends->source_port = ports[0];
	ends->dest_port = ports[1];
	return true;
}

/*
 * Whose what is about to come will be, where no socket can be found for it:
 *
 * - Answers to ICMP requests. Ping sockets cannot be looked for from outside of
 *   their protocol, and raw ones are many.
 * - Later fragments of IPv6, which pass the hook before they are put together.
 *
 * An entry that another one displaces costs a packet its owner.
 */
struct linubia_memory {
	spinlock_t lock;	/* of all the other members */
	const struct linubia_net *ln;
	struct in6_addr remote;
	__be32 id;
	u8 kind;
	u8 row;
	kuid_t uid;
	__be16 source_port;
	__be16 dest_port;
};

enum { LINUBIA_ECHO4, LINUBIA_ECHO6, LINUBIA_PART6 };

#define LINUBIA_MEMORY_BITS 10

static struct linubia_memory memories[1 << LINUBIA_MEMORY_BITS];
static u32 memory_seed;

static struct linubia_memory *linubia_memory(const struct in6_addr *remote,
					     __be32 id)
{
	u32 hash = jhash2((__force const u32 *)remote->s6_addr32, 4,
			  memory_seed ^ (__force u32)id);

	return &memories[hash >> (32 - LINUBIA_MEMORY_BITS)];
}

static void linubia_remember(const struct linubia_net *ln, u8 kind, __be32 id,
			     const struct in6_addr *remote,
			     const struct linubia_ends *ends,
			     const struct linubia_owner *owner)
{
	struct linubia_memory *memory = linubia_memory(remote, id);

	spin_lock_bh(&memory->lock);
	memory->ln = ln;
	memory->remote = *remote;
	memory->id = id;
	memory->kind = kind;
	memory->row = owner->row;
	memory->uid = owner->uid;
	memory->source_port = ends->source_port;
	memory->dest_port = ends->dest_port;
	spin_unlock_bh(&memory->lock);
}

static bool linubia_recall(const struct linubia_net *ln, u8 kind, __be32 id,
			   const struct in6_addr *remote,
			   struct linubia_ends *ends,
			   struct linubia_owner *owner)
{
	struct linubia_memory *memory = linubia_memory(remote, id);
	bool found;

	spin_lock_bh(&memory->lock);
	found = memory->ln == ln && memory->kind == kind && memory->id == id &&
		ipv6_addr_equal(&memory->remote, remote);
	if (found) {
		owner->row = memory->row;
		owner->uid = memory->uid;
		if (kind == LINUBIA_PART6) {
			ends->source_port = memory->source_port;
			ends->dest_port = memory->dest_port;
		}
	}
	spin_unlock_bh(&memory->lock);
	return found;
}

static void linubia_forget(const struct linubia_net *ln)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(memories); i++) {
		spin_lock_bh(&memories[i].lock);
		if (memories[i].ln == ln)
			memories[i].ln = NULL;
		spin_unlock_bh(&memories[i].lock);
	}
}

static __be32 linubia_echo_id(__be16 id)
{
	return (__force __be32)(u32)(__force u16)id;
}

static u8 linubia_echo(u8 family)
{
	return family == LINUBIA_IPV4 ? LINUBIA_ECHO4 : LINUBIA_ECHO6;
}

/**
 * linubia_owner_of - who owns a socket
 * @net: network namespace of the packet
 * @sk: socket of any kind: full, request or TIME_WAIT
 * @owner: set
 */
static __always_inline void linubia_owner_of(const struct net *net,
					     struct sock *sk,
					     struct linubia_owner *owner)
{
	int state = READ_ONCE(sk->sk_state);

	if (unlikely(state == TCP_TIME_WAIT)) {
		owner->row = LINUBIA_ROW_CLOSING;
		return;
	}
	if (unlikely(state == TCP_NEW_SYN_RECV)) {
		sk = inet_reqsk(sk)->rsk_listener;
		owner->listener = true;
		owner->opening = true;
	} else if (state == TCP_LISTEN) {
		owner->listener = true;
	} else if (!READ_ONCE(sk->sk_socket) && !sock_flag(sk, SOCK_DEAD)) {
		/* accept() has not given it to anybody yet. */
		owner->listener = true;
	}
	if (unlikely(sk->sk_kern_sock || !net_eq(sock_net(sk), net))) {
		owner->row = LINUBIA_ROW_KERNEL;
		return;
	}
	owner->row = LINUBIA_ROW_USER;
	owner->uid = linubia_sk_uid(sk);
	owner->sk = sk;
}

/* An established, closing or opening connection; its reference is the caller's. */
static struct sock *linubia_connection(struct net *net, u8 family,
				       const struct linubia_ends *ends)
{
	struct inet_hashinfo *table = net->ipv4.tcp_death_row.hashinfo;

	if (family == LINUBIA_IPV4)
		return __inet_lookup_established(net, table,
						 ends->source.s6_addr32[0],
						 ends->source_port,
						 ends->dest.s6_addr32[0],
						 ntohs(ends->dest_port),
						 ends->dif, ends->sdif);
#if IS_ENABLED(CONFIG_IPV6)
	return __inet6_lookup_established(net, table, &ends->source,
					  ends->source_port, &ends->dest,
					  ntohs(ends->dest_port), ends->dif,
					  ends->sdif);
#else
	return NULL;
#endif
}

/*
 * The packet is not given to these lookups: programs that choose among sockets
 * of one port (SO_REUSEPORT) would run twice. All of a group are one user's.
 */
static struct sock *linubia_listener(struct net *net, u8 family,
				     const struct linubia_ends *ends)
{
	struct inet_hashinfo *table = net->ipv4.tcp_death_row.hashinfo;

	if (family == LINUBIA_IPV4)
		return __inet_lookup_listener(net, table, NULL, 0,
					      ends->source.s6_addr32[0],
					      ends->source_port,
					      ends->dest.s6_addr32[0],
					      ntohs(ends->dest_port), ends->dif,
					      ends->sdif);
#if IS_ENABLED(CONFIG_IPV6)
	return inet6_lookup_listener(net, table, NULL, 0, &ends->source,
				     ends->source_port, &ends->dest,
				     ntohs(ends->dest_port), ends->dif,
				     ends->sdif);
#else
	return NULL;
#endif
}

static __always_inline struct sock *
linubia_udp_socket(struct net *net, u8 family, const struct linubia_ends *ends)
{
	struct udp_table *table = linubia_udp_table(net);

	if (family == LINUBIA_IPV4)
		return __udp4_lib_lookup(net, ends->source.s6_addr32[0],
					 ends->source_port,
					 ends->dest.s6_addr32[0],
					 ends->dest_port, ends->dif,
					 ends->sdif, table, NULL);
#if IS_ENABLED(CONFIG_IPV6)
	return __udp6_lib_lookup(net, &ends->source, ends->source_port,
				 &ends->dest, ends->dest_port, ends->dif,
				 ends->sdif, table, NULL);
#else
	return NULL;
#endif
}

/* Whether a socket takes what this source sends to an IPv4 group. */
static bool linubia_joined4(const struct sock *sk,
			    const struct linubia_ends *ends)
{
	__be32 group = ends->dest.s6_addr32[0];
	const struct ip_mc_socklist *joined;
	const struct ip_sf_socklist *sources;
	unsigned int i;

	if (!ipv4_is_multicast(group))
		return true;
	for (joined = rcu_dereference(inet_sk(sk)->mc_list); joined;
	     joined = rcu_dereference(joined->next_rcu))
		if (joined->multi.imr_multiaddr.s_addr == group &&
		    (joined->multi.imr_ifindex == ends->dif ||
		     (ends->sdif && joined->multi.imr_ifindex == ends->sdif)))
			break;
	if (!joined)
		return linubia_mc_all(sk);
	sources = rcu_dereference(joined->sflist);
	if (sources)
		for (i = 0; i < sources->sl_count; i++)
			if (sources->sl_addr[i] == ends->source.s6_addr32[0])
				return joined->sfmode == MCAST_INCLUDE;
	return joined->sfmode == MCAST_EXCLUDE;
}

static bool linubia_takes4(struct net *net, struct sock *sk,
			   const struct linubia_ends *ends)
{
	const struct inet_sock *inet = inet_sk(sk);

	return !ipv6_only_sock(sk) &&
	       (!inet->inet_daddr ||
		inet->inet_daddr == ends->source.s6_addr32[0]) &&
	       (!inet->inet_rcv_saddr ||
		inet->inet_rcv_saddr == ends->dest.s6_addr32[0]) &&
	       linubia_joined4(sk, ends);
}

#if IS_ENABLED(CONFIG_IPV6)
static bool linubia_joined6(const struct sock *sk,
			    const struct linubia_ends *ends)
{
	const struct ipv6_mc_socklist *joined;
	const struct ip6_sf_socklist *sources;
	unsigned int i;

	for (joined = rcu_dereference(inet6_sk(sk)->ipv6_mc_list); joined;
	     joined = rcu_dereference(joined->next))
		if (ipv6_addr_equal(&joined->addr, &ends->dest))
			break;
	if (!joined)
		return linubia_mc6_all(sk);
	sources = rcu_dereference(joined->sflist);
	if (sources)
		for (i = 0; i < sources->sl_count; i++)
			if (ipv6_addr_equal(&sources->sl_addr[i],
					    &ends->source))
				return joined->sfmode == MCAST_INCLUDE;
	return joined->sfmode == MCAST_EXCLUDE;
}

static bool linubia_takes6(struct net *net, struct sock *sk,
			   const struct linubia_ends *ends)
{
	return sk->sk_family == PF_INET6 &&
	       (ipv6_addr_any(&sk->sk_v6_daddr) ||
		ipv6_addr_equal(&sk->sk_v6_daddr, &ends->source)) &&
	       (ipv6_addr_any(&sk->sk_v6_rcv_saddr) ||
		ipv6_addr_equal(&sk->sk_v6_rcv_saddr, &ends->dest)) &&
	       linubia_joined6(sk, ends);
}
#else
static bool linubia_takes6(struct net *net, struct sock *sk,
			   const struct linubia_ends *ends)
{
	return false;
}
#endif

/**
 * struct linubia_receivers - the users that one packet is delivered to
 * @n: how many were told apart
 * @more: sockets beyond
 * @uid: who
 */
struct linubia_receivers {
	unsigned int n;
	unsigned int more;
	kuid_t uid[LINUBIA_RECEIVERS];
};

static void linubia_receiver(struct net *net, struct sock *sk,
			     struct linubia_receivers *to)
{
	kuid_t uid = linubia_sk_uid(sk);
	unsigned int i;

	if (sk->sk_kern_sock)
		return;
	for (i = 0; i < to->n; i++)
		if (uid_eq(to->uid[i], uid))
			return;
	if (to->n == LINUBIA_RECEIVERS)
		to->more++;
	else
		to->uid[to->n++] = uid;
}

static void linubia_udp_receivers(struct net *net,
				  const struct linubia_packet *p,
				  const struct linubia_ends *ends,
				  struct linubia_receivers *to)
{
	u16 port = ntohs(ends->dest_port);
	struct udp_hslot *slot = udp_hashslot(linubia_udp_table(net), net,
					      port);
	struct sock *sk;

	sk_for_each_rcu(sk, &slot->head) {
		if (!net_eq(sock_net(sk), net) ||
		    udp_sk(sk)->udp_port_hash != port ||
		    (inet_sk(sk)->inet_dport &&
		     inet_sk(sk)->inet_dport != ends->source_port) ||
		    !udp_sk_bound_dev_eq(net, sk->sk_bound_dev_if, ends->dif,
					 ends->sdif))
			continue;
		if (p->family == LINUBIA_IPV4 ? linubia_takes4(net, sk, ends) :
						linubia_takes6(net, sk, ends))
			linubia_receiver(net, sk, to);
	}
}

static void linubia_raw_receivers(struct net *net,
				  const struct linubia_packet *p,
				  const struct linubia_ends *ends,
				  struct linubia_receivers *to)
{
	u32 slot = raw_hashfunc(net, p->protocol);
	struct sock *sk;

	if (p->family == LINUBIA_IPV4) {
		sk_for_each_rcu(sk, &raw_v4_hashinfo.ht[slot])
			if (raw_v4_match(net, sk, p->protocol,
					 ends->source.s6_addr32[0],
					 ends->dest.s6_addr32[0], ends->dif,
					 ends->sdif))
				linubia_receiver(net, sk, to);
		return;
	}
#if IS_ENABLED(CONFIG_IPV6)
	sk_for_each_rcu(sk, &raw_v6_hashinfo.ht[slot])
		if (raw_v6_match(net, sk, p->protocol, &ends->dest,
				 &ends->source, ends->dif, ends->sdif))
			linubia_receiver(net, sk, to);
#endif
}

/* One packet for several users counts for each, and as a copy for all but one. */
static noinline void linubia_share(struct linubia_net *ln,
				   const struct linubia_packet *p,
				   const struct linubia_ends *ends,
				   struct linubia_owner *owner)
{
	struct linubia_owner other = { .row = LINUBIA_ROW_COPIES };
	struct linubia_receivers to = { };
	unsigned int i;

	if (p->class == LINUBIA_UDP)
		linubia_udp_receivers(ln->net, p, ends, &to);
	else
		linubia_raw_receivers(ln->net, p, ends, &to);
	if (!to.n)
		return;
	owner->row = LINUBIA_ROW_USER;
	owner->uid = to.uid[0];
	for (i = 1; i < to.n; i++) {
		other.row = LINUBIA_ROW_USER;
		other.uid = to.uid[i];
		linubia_account(ln, p, &other, LINUBIA_IN);
		other.row = LINUBIA_ROW_COPIES;
		linubia_account(ln, p, &other, LINUBIA_IN);
	}
	if (to.more)
		linubia_stat_add(ln, LINUBIA_STAT_RECEIVERS_MORE, to.more);
}

/**
 * linubia_quoted - finds the socket whose packet an ICMP error quotes
 * @ln: accounts of the network namespace
 * @skb: the error
 * @p: the error
 * @error: its ends
 * @owner: set if found
 *
 * Return: a reference that the caller gives back, or NULL.
 */
static struct sock *linubia_quoted(struct linubia_net *ln,
				   const struct sk_buff *skb,
				   const struct linubia_packet *p,
				   const struct linubia_ends *error,
				   struct linubia_owner *owner)
{
	struct net *net = ln->net;
	struct linubia_ends ends = { .dif = error->dif, .sdif = error->sdif };
	int offset = p->offset + sizeof(struct icmphdr);
	struct sock *sk = NULL;
	u8 protocol;
	union {
		struct iphdr ip;
		struct ipv6hdr ip6;
		__be16 ports[4];
	} buffer;
	const void *at;

	/* The quoted packet was ours: its destination is our source. */
	if (p->family == LINUBIA_IPV4) {
		const struct iphdr *ip;

		ip = skb_header_pointer(skb, offset, sizeof(*ip), &buffer);
		if (!ip)
			return NULL;
		ends.source.s6_addr32[0] = ip->daddr;
		ends.dest.s6_addr32[0] = ip->saddr;
		protocol = ip->protocol;
		offset += ip->ihl * 4;
	} else {
		const struct ipv6hdr *ip6;
		__be16 fragment;

		ip6 = skb_header_pointer(skb, offset, sizeof(*ip6), &buffer);
		if (!ip6)
			return NULL;
		ends.source = ip6->daddr;
		ends.dest = ip6->saddr;
		protocol = ip6->nexthdr;
		offset = ipv6_skip_exthdr(skb, offset + sizeof(*ip6),
					  &protocol, &fragment);
		if (offset < 0)
			return NULL;
	}
	at = skb_header_pointer(skb, offset, sizeof(buffer.ports), &buffer);
	if (!at)
		return NULL;
	memcpy(buffer.ports, at, sizeof(buffer.ports));
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		ends.source_port = buffer.ports[1];
		ends.dest_port = buffer.ports[0];
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		/* Type and code, checksum, identifier. */
		linubia_recall(ln, linubia_echo(p->family),
			       linubia_echo_id(buffer.ports[2]), &ends.source,
			       &ends, owner);
		return NULL;
	default:
		return NULL;
	}
	if (protocol == IPPROTO_UDP) {
		sk = linubia_udp_socket(net, p->family, &ends);
		if (sk)
			linubia_owner_of(net, sk, owner);
		return NULL;
	}
	sk = linubia_connection(net, p->family, &ends);
	if (sk)
		linubia_owner_of(net, sk, owner);
	return sk;
}

static noinline struct sock *linubia_icmp_in(struct linubia_net *ln,
					     const struct sk_buff *skb,
					     const struct linubia_packet *p,
					     struct linubia_ends *ends,
					     struct linubia_owner *owner)
{
	struct icmphdr buffer;
	const struct icmphdr *icmp = skb_header_pointer(skb, p->offset,
							sizeof(buffer),
							&buffer);
	bool error, request, reply;

	owner->row = LINUBIA_ROW_KERNEL;
	linubia_ends_whole(p->family, ends);
	if (!icmp)
		return NULL;
	if (p->family == LINUBIA_IPV4) {
		reply = icmp->type == ICMP_ECHOREPLY;
		request = icmp->type == ICMP_ECHO;
		error = icmp->type == ICMP_DEST_UNREACH ||
			icmp->type == ICMP_SOURCE_QUENCH ||
			icmp->type == ICMP_REDIRECT ||
			icmp->type == ICMP_TIME_EXCEEDED ||
			icmp->type == ICMP_PARAMETERPROB;
	} else {
		reply = icmp->type == ICMPV6_ECHO_REPLY;
		request = icmp->type == ICMPV6_ECHO_REQUEST;
		error = !(icmp->type & ICMPV6_INFOMSG_MASK);
	}
	if (reply) {
		owner->row = LINUBIA_ROW_NONE;
		ends->dest_port = icmp->un.echo.id;
		if (linubia_recall(ln, linubia_echo(p->family),
				   linubia_echo_id(ends->dest_port),
				   &ends->source, ends, owner))
			linubia_stat(ln, LINUBIA_STAT_BY_ECHO);
	} else if (request) {
		ends->source_port = icmp->un.echo.id;
	} else if (error) {
		owner->row = LINUBIA_ROW_NONE;
		return linubia_quoted(ln, skb, p, ends, owner);
	}
	return NULL;
}

/* Whether a packet goes to a group or to all. */
static __always_inline bool linubia_to_many(const struct sk_buff *skb,
					    u8 family,
					    const struct linubia_ends *ends)
{
	if (family == LINUBIA_IPV4)
		return skb_rtable(skb)->rt_flags &
		       (RTCF_BROADCAST | RTCF_MULTICAST);
	return ipv6_addr_is_multicast(&ends->dest);
}

static noinline bool linubia_is_syn(const struct sk_buff *skb,
				    const struct linubia_packet *p)
{
	struct tcphdr buffer;
	const struct tcphdr *tcp = skb_header_pointer(skb, p->offset,
						      sizeof(buffer), &buffer);

	return tcp && tcp->syn && !tcp->ack;
}

/**
 * linubia_look - finds the owner of a packet that brings no socket
 * @ln: accounts of the network namespace
 * @skb: the packet
 * @p: the packet
 * @ends: its ends; the ports are filled in
 * @owner: set
 *
 * Return: a reference that the caller gives back, or NULL.
 */
static __always_inline struct sock *
linubia_look(struct linubia_net *ln, const struct sk_buff *skb,
	     const struct linubia_packet *p, struct linubia_ends *ends,
	     struct linubia_owner *owner)
{
	struct sock *sk;

	linubia_stat(ln, LINUBIA_STAT_BY_LOOKUP);
	switch (p->class) {
	case LINUBIA_UDP:
		if (unlikely(linubia_to_many(skb, p->family, ends))) {
			linubia_share(ln, p, ends, owner);
			return NULL;
		}
		sk = linubia_udp_socket(ln->net, p->family, ends);
		if (sk)
			linubia_owner_of(ln->net, sk, owner);
		return NULL;
	case LINUBIA_TCP:
		sk = linubia_connection(ln->net, p->family, ends);
		if (sk) {
			linubia_owner_of(ln->net, sk, owner);
			return sk;
		}
		sk = linubia_listener(ln->net, p->family, ends);
		if (sk) {
			linubia_owner_of(ln->net, sk, owner);
			owner->opening = linubia_is_syn(skb, p);
		}
		return NULL;
	case LINUBIA_ICMP:
		return linubia_icmp_in(ln, skb, p, ends, owner);
	default:
		owner->row = LINUBIA_ROW_KERNEL;
		if (linubia_has_ports(p))
			owner->row = LINUBIA_ROW_NONE;
		linubia_share(ln, p, ends, owner);
		return NULL;
	}
}

static __always_inline void linubia_flow(struct linubia_net *ln,
					 const struct linubia_packet *p,
					 struct linubia_ends *ends,
					 struct linubia_owner *owner,
					 int direction, int ifindex)
{
	struct linubia_key key LINUBIA_UNINITIALIZED;

	linubia_ends_whole(p->family, ends);
	key.ln = ln;
	key.family = p->family;
	key.protocol = p->protocol;
	key.zero = 0;
	if (direction == LINUBIA_IN) {
		key.local = ends->dest;
		key.remote = ends->source;
		key.local_port = ends->dest_port;
		key.remote_port = ends->source_port;
	} else {
		key.local = ends->source;
		key.remote = ends->dest;
		key.local_port = ends->source_port;
		key.remote_port = ends->dest_port;
	}
	if (unlikely(linubia_flow_packet(ln, &key, p, owner, direction,
					 ifindex)))
		linubia_stat(ln, LINUBIA_STAT_BY_FLOW);
}

/* What defragmentation put together came in pieces no larger than this, or 0. */
static __always_inline unsigned int linubia_came_in(const struct sk_buff *skb,
						    u8 family)
{
	if (family == LINUBIA_IPV4)
		return IPCB(skb)->frag_max_size;
	return IP6CB(skb)->flags & IP6SKB_FRAGMENTED ?
	       IP6CB(skb)->frag_max_size : 0;
}

static __always_inline unsigned int linubia_ip_headers(const struct sk_buff *skb,
						       u8 family)
{
	return family == LINUBIA_IPV4 ? ip_hdr(skb)->ihl * 4 :
					sizeof(struct ipv6hdr);
}

static __always_inline unsigned int
linubia_in(struct linubia_net *ln, struct sk_buff *skb,
	   const struct nf_hook_state *state, u8 family)
{
	struct linubia_owner owner = { .row = LINUBIA_ROW_NONE };
	int ifindex = state->in->ifindex;
	struct linubia_ends ends LINUBIA_UNINITIALIZED;
	struct linubia_packet p LINUBIA_UNINITIALIZED;
	struct sock *reference = NULL;
	unsigned int largest;
	bool whole;

	whole = linubia_dissect(skb, family, &p);
	largest = linubia_came_in(skb, family);
	if (skb_is_gso(skb))
		linubia_count_segments(skb, &p);
	else if (unlikely(largest) && largest < skb->len)
		linubia_count_fragments(&p, linubia_ip_headers(skb, family),
					largest);
	linubia_ends(skb, family, &ends);
	if (family == LINUBIA_IPV6 && unlikely(p.part == LINUBIA_LATER)) {
		linubia_recall(ln, LINUBIA_PART6, p.part_id, &ends.source,
			       &ends, &owner);
		goto flow;
	}
	if (linubia_has_ports(&p) && whole)
		whole = linubia_ports(skb, &p, &ends);
	if (unlikely(!whole)) {
		linubia_stat(ln, LINUBIA_STAT_MALFORMED);
		goto count;
	}
	if (skb->sk) {
		linubia_stat(ln, LINUBIA_STAT_BY_SKB);
		linubia_owner_of(state->net, skb->sk, &owner);
	} else {
		if (family == LINUBIA_IPV4) {
			ends.dif = inet_iif(skb);
			ends.sdif = inet_sdif(skb);
		} else {
			ends.dif = inet6_iif(skb);
			ends.sdif = inet6_sdif(skb);
		}
		reference = linubia_look(ln, skb, &p, &ends, &owner);
	}
	if (family == LINUBIA_IPV6 && unlikely(p.part == LINUBIA_FIRST))
		linubia_remember(ln, LINUBIA_PART6, p.part_id, &ends.source,
				 &ends, &owner);
flow:
	if (READ_ONCE(linubia_max_flows))
		linubia_flow(ln, &p, &ends, &owner, LINUBIA_IN, ifindex);
	if (reference)
		sock_gen_put(reference);
count:
	linubia_account(ln, &p, &owner, LINUBIA_IN);
	linubia_pass(ln, ifindex, &p,
		     unlikely(skb->pkt_type == PACKET_LOOPBACK) ?
		     LINUBIA_WAY_LOOPED : LINUBIA_WAY_IN);
	return NF_ACCEPT;
}

/* A TCP packet of the kernel's own: an answer for a socket that is going away. */
static noinline struct sock *linubia_answer_for(struct linubia_net *ln,
						const struct linubia_packet *p,
						const struct linubia_ends *ends,
						int ifindex,
						struct linubia_owner *owner)
{
	struct linubia_ends back = {
		.source = ends->dest,
		.dest = ends->source,
		.source_port = ends->dest_port,
		.dest_port = ends->source_port,
		.dif = ifindex,
	};
	struct sock *sk = linubia_connection(ln->net, p->family, &back);

	if (sk)
		linubia_owner_of(ln->net, sk, owner);
	return sk;
}

/* Remembers who asks, and gives the flow its identifier. */
static noinline void linubia_icmp_out(struct linubia_net *ln,
				      const struct sk_buff *skb,
				      const struct linubia_packet *p,
				      struct linubia_ends *ends,
				      const struct linubia_owner *owner)
{
	struct icmphdr buffer;
	const struct icmphdr *icmp = skb_header_pointer(skb, p->offset,
							sizeof(buffer),
							&buffer);
	bool v4 = p->family == LINUBIA_IPV4;

	linubia_ends_whole(p->family, ends);
	if (!icmp)
		return;
	if (icmp->type == (v4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST)) {
		ends->source_port = icmp->un.echo.id;
		if (owner->row == LINUBIA_ROW_USER)
			linubia_remember(ln, linubia_echo(p->family),
					 linubia_echo_id(ends->source_port),
					 &ends->dest, ends, owner);
	} else if (icmp->type == (v4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY)) {
		ends->dest_port = icmp->un.echo.id;
	}
}

/* A device that cannot cut a packet itself gets it, and counts it, in segments. */
static void linubia_leave_by(const struct net_device *out,
			     const struct sk_buff *skb,
			     struct linubia_packet *p)
{
	if (!net_gso_ok(out->features, skb_shinfo(skb)->gso_type)) {
		p->merged = 0;
		p->merged_octets = 0;
	}
}

static __always_inline unsigned int
linubia_out(struct linubia_net *ln, struct sk_buff *skb,
	    const struct nf_hook_state *state, u8 family)
{
	struct linubia_owner owner = { .row = LINUBIA_ROW_KERNEL };
	int ifindex = state->out->ifindex;
	struct linubia_ends ends LINUBIA_UNINITIALIZED;
	struct linubia_packet p LINUBIA_UNINITIALIZED;
	struct sock *reference = NULL;
	unsigned int mtu;
	bool whole;

	whole = linubia_dissect(skb, family, &p);
	if (skb_is_gso(skb)) {
		linubia_count_segments(skb, &p);
		linubia_leave_by(state->out, skb, &p);
	} else if (skb->len > LINUBIA_NEVER_CUT && p.class != LINUBIA_TCP) {
		mtu = family == LINUBIA_IPV4 ?
		      ip_skb_dst_mtu(state->sk, skb) : ip6_skb_dst_mtu(skb);
		if (unlikely(skb->len > mtu))
			linubia_count_fragments(&p,
						linubia_ip_headers(skb, family),
						mtu);
	}
	if (state->sk)
		linubia_owner_of(state->net, state->sk, &owner);
	if (!READ_ONCE(linubia_max_flows) && p.class != LINUBIA_ICMP &&
	    likely(owner.row == LINUBIA_ROW_USER))
		goto count;

	linubia_ends(skb, family, &ends);
	if (linubia_has_ports(&p) && whole && p.part != LINUBIA_LATER)
		whole = linubia_ports(skb, &p, &ends);
	if (unlikely(!whole)) {
		linubia_stat(ln, LINUBIA_STAT_MALFORMED);
		goto count;
	}
	if (p.class == LINUBIA_ICMP)
		linubia_icmp_out(ln, skb, &p, &ends, &owner);
	else if (p.class == LINUBIA_TCP && owner.row == LINUBIA_ROW_KERNEL)
		reference = linubia_answer_for(ln, &p, &ends, ifindex, &owner);
	if (READ_ONCE(linubia_max_flows))
		linubia_flow(ln, &p, &ends, &owner, LINUBIA_OUT, ifindex);
	if (reference)
		sock_gen_put(reference);
count:
	linubia_account(ln, &p, &owner, LINUBIA_OUT);
	linubia_pass(ln, ifindex, &p, LINUBIA_WAY_OUT);
	return NF_ACCEPT;
}

static __always_inline unsigned int
linubia_forward(struct linubia_net *ln, struct sk_buff *skb,
		const struct nf_hook_state *state, u8 family)
{
	const struct linubia_owner owner = { .row = LINUBIA_ROW_FORWARDED };
	unsigned int largest = linubia_came_in(skb, family);
	struct linubia_packet p;

	if (!linubia_dissect(skb, family, &p))
		linubia_stat(ln, LINUBIA_STAT_MALFORMED);
	if (skb_is_gso(skb))
		linubia_count_segments(skb, &p);
	else if (unlikely(largest) && largest < skb->len)
		linubia_count_fragments(&p, linubia_ip_headers(skb, family),
					largest);
	linubia_account(ln, &p, &owner, LINUBIA_IN);
	linubia_account(ln, &p, &owner, LINUBIA_OUT);
	linubia_pass(ln, state->in->ifindex, &p, LINUBIA_WAY_FORWARD_IN);
	if (skb_is_gso(skb))
		linubia_leave_by(state->out, skb, &p);
	linubia_pass(ln, state->out->ifindex, &p, LINUBIA_WAY_FORWARD_OUT);
	return NF_ACCEPT;
}

#define LINUBIA_HOOK(name, family)					\
static unsigned int name##_##family(void *priv, struct sk_buff *skb,	\
				    const struct nf_hook_state *state)	\
{									\
	return name(priv, skb, state, family);				\
}

LINUBIA_HOOK(linubia_in, LINUBIA_IPV4)
LINUBIA_HOOK(linubia_in, LINUBIA_IPV6)
LINUBIA_HOOK(linubia_out, LINUBIA_IPV4)
LINUBIA_HOOK(linubia_out, LINUBIA_IPV6)
LINUBIA_HOOK(linubia_forward, LINUBIA_IPV4)
LINUBIA_HOOK(linubia_forward, LINUBIA_IPV6)

#define LINUBIA_OPS(name, family, protocol, where)	\
{							\
	.hook = name##_##family,			\
	.pf = protocol,					\
	.hooknum = where,				\
	.priority = LINUBIA_PRIORITY,			\
}

static const struct nf_hook_ops linubia_ops[LINUBIA_HOOKS] = {
	LINUBIA_OPS(linubia_in, LINUBIA_IPV4, NFPROTO_IPV4, NF_INET_LOCAL_IN),
	LINUBIA_OPS(linubia_in, LINUBIA_IPV6, NFPROTO_IPV6, NF_INET_LOCAL_IN),
	LINUBIA_OPS(linubia_out, LINUBIA_IPV4, NFPROTO_IPV4, NF_INET_LOCAL_OUT),
	LINUBIA_OPS(linubia_out, LINUBIA_IPV6, NFPROTO_IPV6, NF_INET_LOCAL_OUT),
	LINUBIA_OPS(linubia_forward, LINUBIA_IPV4, NFPROTO_IPV4,
		    NF_INET_FORWARD),
	LINUBIA_OPS(linubia_forward, LINUBIA_IPV6, NFPROTO_IPV6,
		    NF_INET_FORWARD),
};

/**
 * linubia_hooks_init - makes ready what is remembered
 */
void linubia_hooks_init(void)
{
	unsigned int i;

	get_random_bytes(&memory_seed, sizeof(memory_seed));
	for (i = 0; i < ARRAY_SIZE(memories); i++)
		spin_lock_init(&memories[i].lock);
}

/**
 * linubia_hooks_register - begins to count
 * @ln: accounts of the network namespace
 *
 * Return: 0 or a negative error.
 */
int linubia_hooks_register(struct linubia_net *ln)
{
	unsigned int i;

	for (i = 0; i < LINUBIA_HOOKS; i++) {
		ln->hooks[i] = linubia_ops[i];
		ln->hooks[i].priv = ln;
	}
	return nf_register_net_hooks(ln->net, ln->hooks, LINUBIA_HOOKS);
}

/**
 * linubia_hooks_unregister - stops to count
 * @ln: accounts of the network namespace
 */
void linubia_hooks_unregister(struct linubia_net *ln)
{
	nf_unregister_net_hooks(ln->net, ln->hooks, LINUBIA_HOOKS);
	linubia_forget(ln);
}
