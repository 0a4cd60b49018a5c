/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as packet.c, account.c and flow.c need, in user space:
 * one CPU, allocations that can be told to fail, and no grace periods but those
 * that the test makes.
 */
#ifndef _LINUBIA_STUB_H
#define _LINUBIA_STUB_H

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;
typedef uint16_t __be16;
typedef uint32_t __be32;
typedef struct { u32 val; } kuid_t;
typedef unsigned int gfp_t;

#define __force
#define __rcu
#define __percpu
#define __init
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define likely(x) (x)
#define unlikely(x) (x)
#define READ_ONCE(x) (x)
#define WRITE_ONCE(x, value) ((x) = (value))
#define BUILD_BUG_ON(x) _Static_assert(!(x), #x)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define U16_MAX 65535
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))
#define clamp_t(type, value, low, high) \
	((type)(value) < (type)(low) ? (type)(low) : \
	 (type)(value) > (type)(high) ? (type)(high) : (type)(value))
#define INVALID_UID ((kuid_t){ 0xffffffff })
#define __kuid_val(uid) ((uid).val)
#define uid_eq(a, b) ((a).val == (b).val)

static inline int ilog2(unsigned long n)
{
	return 63 - __builtin_clzl(n);
}

static inline int order_base_2(unsigned long n)
{
	return n > 1 ? ilog2(n - 1) + 1 : 0;
}

/* Lists, as list.h has them. */
struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };

static inline void hlist_add_head_rcu(struct hlist_node *n,
				      struct hlist_head *h)
{
	n->next = h->first;
	if (n->next)
		n->next->pprev = &n->next;
	n->pprev = &h->first;
	h->first = n;
}

static inline void hlist_del_rcu(struct hlist_node *n)
{
	*n->pprev = n->next;
	if (n->next)
		n->next->pprev = n->pprev;
}

#define hlist_empty(head) (!(head)->first)
#define hlist_entry_safe(p, type, member) \
	({ __typeof__(p) _p = (p); _p ? container_of(_p, type, member) : NULL; })
#define hlist_for_each_entry(pos, head, member)				\
	for (pos = hlist_entry_safe((head)->first, __typeof__(*(pos)), member); \
	     pos;							\
	     pos = hlist_entry_safe((pos)->member.next, __typeof__(*(pos)), \
				    member))
#define hlist_for_each_entry_rcu hlist_for_each_entry
#define hlist_for_each_entry_safe(pos, n, head, member)			\
	for (pos = hlist_entry_safe((head)->first, __typeof__(*pos), member); \
	     pos && ({ n = pos->member.next; 1; });			\
	     pos = hlist_entry_safe(n, __typeof__(*pos), member))

/* Locks are checked for balance only. */
typedef struct { int held; } spinlock_t;
struct mutex { int held; };

#define spin_lock_init(l) ((l)->held = 0)
#define mutex_init(l) ((l)->held = 0)
static inline void spin_lock_bh(spinlock_t *l) { assert(!l->held++); }
static inline void spin_unlock_bh(spinlock_t *l) { assert(!--l->held); }
#define rcu_read_lock() ((void)0)
#define rcu_read_unlock() ((void)0)
#define cond_resched() ((void)0)

/* Freed when the test says that a grace period is over. */
struct rcu_head { struct rcu_head *next; void (*call)(struct rcu_head *); };
extern struct rcu_head *stub_waiting;
static inline void call_rcu(struct rcu_head *head,
			    void (*call)(struct rcu_head *))
{
	head->call = call;
	head->next = stub_waiting;
	stub_waiting = head;
}
static inline void rcu_barrier(void)
{
	while (stub_waiting) {
		struct rcu_head *head = stub_waiting;

		stub_waiting = head->next;
		head->call(head);
	}
}

typedef struct { int counter; } atomic_t;
typedef struct { s64 counter; } atomic64_t;
#define ATOMIC_INIT(i) { (i) }
#define atomic_read(v) ((v)->counter)
#define atomic_set(v, i) ((v)->counter = (i))
#define atomic_inc(v) ((v)->counter++)
#define atomic_dec(v) ((v)->counter--)
#define atomic64_read(v) ((v)->counter)
#define atomic64_add(i, v) ((v)->counter += (i))

/* Memory: counted, and every stub_fail-th allocation fails if that is not 0. */
#define GFP_KERNEL 0u
#define GFP_ATOMIC 0u
#define __GFP_NOWARN 0u
#define SLAB_HWCACHE_ALIGN 0u
extern unsigned int stub_fail;
extern long stub_held;
void *stub_alloc(size_t octets);
void stub_free(void *what);
#define kzalloc(n, flags) stub_alloc(n)
#define kvcalloc(n, size, flags) stub_alloc((n) * (size))
#define kfree(p) stub_free(p)
#define kvfree(p) stub_free(p)
#define alloc_percpu_gfp(type, flags) ((type *)stub_alloc(sizeof(type)))
#define alloc_percpu(type) ((type *)stub_alloc(sizeof(type)))
#define free_percpu(p) stub_free(p)
struct kmem_cache { size_t octets; };
static inline struct kmem_cache *kmem_cache_create(const char *name,
						   size_t octets, size_t align,
						   unsigned int flags, void *ctor)
{
	struct kmem_cache *cache = stub_alloc(sizeof(*cache));

	(void)name, (void)align, (void)flags, (void)ctor;
	if (cache)
		cache->octets = octets;
	return cache;
}
#define kmem_cache_zalloc(c, flags) stub_alloc((c)->octets)
#define kmem_cache_free(c, p) stub_free(p)
#define kmem_cache_destroy(c) stub_free(c)
#define this_cpu_add(x, n) ((x) += (n))
#define this_cpu_inc(x) ((x)++)
#define per_cpu_ptr(p, cpu) ((void)(cpu), (p))
#define for_each_possible_cpu(cpu) for (cpu = 0; cpu < 1; cpu++)
#define num_possible_cpus() 1
#define jiffies stub_jiffies
extern unsigned long stub_jiffies;
#define HZ 250
#define time_after(a, b) ((long)((b) - (a)) < 0)

static inline u32 hash_32(u32 value, unsigned int bits)
{
	return bits ? value * 0x61c88647u >> (32 - bits) : 0;
}
#define hash_ptr(p, bits) hash_32((u32)(uintptr_t)(p), bits)
static inline u32 jhash2(const u32 *k, u32 n, u32 initial)
{
	while (n--)
		initial = (initial ^ *k++) * 0x9e3779b1u + (initial >> 15);
	return initial;
}
static inline u32 jhash_3words(u32 a, u32 b, u32 c, u32 initial)
{
	u32 words[] = { a, b, c };

	return jhash2(words, 3, initial);
}
#define get_random_bytes(p, n) memset(p, 7, n)

/* Packets. */
struct iphdr {
	u8 ihl : 4, version : 4;
	u8 tos;
	__be16 tot_len, id, frag_off;
	u8 ttl, protocol;
	u16 check;
	__be32 saddr, daddr;
};
struct ipv6hdr {
	u8 head[4];
	__be16 payload_len;
	u8 nexthdr, hop_limit;
	struct in6_addr saddr, daddr;
};
struct tcphdr {
	__be16 source, dest;
	__be32 seq, ack_seq;
	u16 res1 : 4, doff : 4, flags : 8;
	__be16 window;
	u16 check;
	__be16 urg_ptr;
};
struct udphdr { __be16 source, dest, len; u16 check; };
struct frag_hdr { u8 nexthdr, reserved; __be16 frag_off; __be32 identification; };
struct skb_shared_info { u16 gso_size; u32 gso_type; };
struct sk_buff {
	const u8 *data;
	unsigned int len;
	bool encapsulation;
	unsigned int transport, inner_transport;
	struct skb_shared_info shared;
};
#define IP6_MF 1
#define NEXTHDR_FRAGMENT 44
#define SKB_GSO_TCPV4 1u
#define SKB_GSO_TCPV6 16u
#define ip_hdr(skb) ((const struct iphdr *)(skb)->data)
#define ipv6_hdr(skb) ((const struct ipv6hdr *)(skb)->data)
#define skb_network_offset(skb) 0
#define skb_shinfo(skb) (&(skb)->shared)
#define skb_inner_transport_header(skb) ((skb)->data + (skb)->inner_transport)
#define skb_inner_transport_offset(skb) ((skb)->inner_transport)
#define skb_transport_header(skb) ((skb)->data + (skb)->transport)

static inline const void *skb_header_pointer(const struct sk_buff *skb,
					     int offset, int n, void *buffer)
{
	if (offset < 0 || (unsigned int)offset + n > skb->len)
		return NULL;
	memcpy(buffer, skb->data + offset, n);
	return buffer;
}
int ipv6_skip_exthdr(const struct sk_buff *skb, int start, u8 *protocol,
		     __be16 *fragment);
int ipv6_find_hdr(const struct sk_buff *skb, unsigned int *offset, int target,
		  unsigned short *fragment, int *flags);

struct nf_hook_ops { void *priv; };

#endif /* _LINUBIA_STUB_H */
