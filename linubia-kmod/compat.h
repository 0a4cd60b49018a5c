/* SPDX-License-Identifier: GPL-2.0 */
/*
 * LINUBIA: where kernels differ. Nothing else in the module asks for a version.
 */
#ifndef _LINUBIA_COMPAT_H
#define _LINUBIA_COMPAT_H

#include <linux/igmp.h>
#include <linux/ipv6.h>
#include <linux/sysctl.h>
#include <linux/version.h>
#include <net/genetlink.h>
#include <net/inet_sock.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/udp.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "LINUBIA needs Linux 6.1 or later"
#endif
#ifndef CONFIG_64BIT
#error "LINUBIA needs a 64-bit kernel: its counters are added to in one step"
#endif

/* The uid has an accessor since 6.17, which is when it may change under us. */
static inline kuid_t linubia_sk_uid(const struct sock *sk)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
	return sk_uid(sk);
#else
	return sk->sk_uid;
#endif
}

/* UDP sockets have a table per network namespace since 6.2. */
static inline struct udp_table *linubia_udp_table(const struct net *net)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	return net->ipv4.udp_table;
#else
	return &udp_table;
#endif
}

/* Flags of sockets became bits of a word in 6.6 and 6.8. */
static inline bool linubia_mc_all(const struct sock *sk)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return inet_test_bit(MC_ALL, sk);
#else
	return inet_sk(sk)->mc_all;
#endif
}

static inline bool linubia_mc6_all(const struct sock *sk)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return inet6_test_bit(MC6_ALL, sk);
#else
	return inet6_sk(sk)->mc_all;
#endif
}

/* Tables of settings end by their length since 6.6, before by an empty row. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define LINUBIA_SYSCTL_END
#else
#define LINUBIA_SYSCTL_END { }
#endif

/* Who may join a group of events could not always be said. */
#if defined(GENL_MCAST_CAP_NET_ADMIN)
#define LINUBIA_MCAST_ADMIN .flags = GENL_MCAST_CAP_NET_ADMIN,
#else
#define LINUBIA_MCAST_ADMIN .flags = GENL_UNS_ADMIN_PERM,
#endif

/* What a dump was asked with is part of a larger structure since 6.6. */
static inline struct nlattr **linubia_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return genl_dumpit_info(cb)->info.attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

#endif /* _LINUBIA_COMPAT_H */
