// SPDX-License-Identifier: GPL-2.0
/*
 * LINUBIA: the flow table.
 *
 * One table of bounded size for the host. Its slots are made once; readers walk
 * them under RCU, changes take one of a few locks. A flow that ends is told to
 * who listens and forgotten: the kernel keeps no history.
 */
#include <linux/hash.h>
#include <linux/jhash.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "linubia.h"

#define LINUBIA_LOCK_BITS	8
#define LINUBIA_SLOT_BITS_MIN	8
#define LINUBIA_SLOT_BITS_MAX	20

static struct hlist_head *slots;
static unsigned int slot_bits;
static u32 seed;
static spinlock_t locks[1 << LINUBIA_LOCK_BITS];
static struct kmem_cache *flow_cache;
static atomic_t flow_count = ATOMIC_INIT(0);

static spinlock_t *linubia_slot_lock(u32 slot)
{
	return &locks[slot & ((1 << LINUBIA_LOCK_BITS) - 1)];
}

static u32 linubia_key_slot(const struct linubia_key *key)
{
	u32 ports = (__force u32)key->local_port << 16 |
		    (__force u32)key->remote_port;
	u32 initial = seed ^ key->protocol ^ hash_ptr(key->ln, 32);
	u32 hash;

	if (key->family == LINUBIA_IPV4)
		hash = jhash_3words((__force u32)key->local.s6_addr32[0],
				    (__force u32)key->remote.s6_addr32[0],
				    ports, initial);
	else
		/* Both addresses lie side by side. */
		hash = jhash2((const u32 *)&key->local, 8, initial ^ ports);
	return hash >> (32 - slot_bits);
}

static bool linubia_key_equal(const struct linubia_key *a,
			      const struct linubia_key *b)
{
	const u64 *x = (const u64 *)a;
	const u64 *y = (const u64 *)b;

	BUILD_BUG_ON(sizeof(*a) != 6 * sizeof(u64));
	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) |
		 (x[3] ^ y[3]) | (x[4] ^ y[4]) | (x[5] ^ y[5]));
}

static struct linubia_flow *linubia_flow_in(u32 slot,
					    const struct linubia_key *key)
{
	struct linubia_flow *flow;

	hlist_for_each_entry_rcu(flow, &slots[slot], node)
		if (linubia_key_equal(&flow->key, key))
			return flow;
	return NULL;
}

/**
 * linubia_flow_find - the flow of a key
 * @key: addresses and ports
 *
 * Context: RCU read side, for as long as the flow is used.
 * Return: the flow, or NULL.
 */
struct linubia_flow *linubia_flow_find(const struct linubia_key *key)
{
	return linubia_flow_in(linubia_key_slot(key), key);
}

static void linubia_flow_free(struct rcu_head *rcu)
{
	kmem_cache_free(flow_cache,
			container_of(rcu, struct linubia_flow, rcu));
}

/* Takes a flow out of its slot, whose lock is held. */
static void linubia_flow_remove(struct linubia_flow *flow)
{
	struct linubia_net *ln = (struct linubia_net *)flow->key.ln;

	hlist_del_rcu(&flow->node);
	atomic_dec(&flow_count);
	atomic_dec(&ln->flow_count);
	call_rcu(&flow->rcu, linubia_flow_free);
}

static struct linubia_flow *linubia_flow_begin(struct linubia_net *ln,
					       u32 slot,
					       const struct linubia_key *key,
					       const struct linubia_owner *owner)
{
	struct linubia_flow *flow, *other;

	if (atomic_read(&flow_count) >= READ_ONCE(linubia_max_flows)) {
		linubia_stat(ln, LINUBIA_STAT_FLOWS_FULL);
		return NULL;
	}
	flow = kmem_cache_zalloc(flow_cache, GFP_ATOMIC | __GFP_NOWARN);
	if (!flow) {
		linubia_stat(ln, LINUBIA_STAT_FLOWS_NO_MEMORY);
		return NULL;
	}
	flow->key = *key;
	flow->uid = owner->uid;
	flow->flags = LINUBIA_FLOW_OWNED;
	if (owner->listener)
		flow->flags |= LINUBIA_FLOW_LISTENER;
	flow->begun_ns = linubia_now_ns();
	flow->begun = jiffies;
	flow->seen = jiffies;
	flow->reported = jiffies;

	spin_lock_bh(linubia_slot_lock(slot));
	other = linubia_flow_in(slot, key);
	if (!other) {
		hlist_add_head_rcu(&flow->node, &slots[slot]);
		atomic_inc(&flow_count);
		atomic_inc(&ln->flow_count);
	}
	spin_unlock_bh(linubia_slot_lock(slot));
	if (other) {
		kmem_cache_free(flow_cache, flow);
		return other;
	}
	linubia_stat(ln, LINUBIA_STAT_FLOWS_BEGUN);
	return flow;
}

/* Ends the flow that has the key of another user's new one. */
static void linubia_flow_replace(u32 slot, struct linubia_flow *flow)
{
	bool mine;

	spin_lock_bh(linubia_slot_lock(slot));
	mine = linubia_flow_in(slot, &flow->key) == flow;
	if (mine)
		linubia_flow_remove(flow);
	spin_unlock_bh(linubia_slot_lock(slot));
	if (mine)
		linubia_report_flow(flow, false);
}

/*
 * Settles whose the flow is. The owner of a socket that was not accepted yet is
 * that of the listener and gives way; that of any other socket stays until the
 * same addresses and ports belong to someone else.
 *
 * Returns false if the flow is over and another one has to begin.
 */
static bool linubia_flow_own(struct linubia_flow *flow,
			     struct linubia_owner *owner)
{
	bool provisional = flow->flags & LINUBIA_FLOW_LISTENER;

	if (owner->listener) {
		if (provisional || uid_eq(flow->uid, owner->uid))
			return true;
		if (owner->opening)
			return false;
		owner->uid = flow->uid;
		owner->listener = false;
		owner->sk = NULL;
		return true;
	}
	if (provisional) {
		WRITE_ONCE(flow->uid, owner->uid);
		WRITE_ONCE(flow->flags, flow->flags & ~LINUBIA_FLOW_LISTENER);
		return true;
	}
	return uid_eq(flow->uid, owner->uid);
}

/**
 * linubia_flow_packet - adds a packet to its flow
 * @ln: accounts of the network namespace
 * @key: of the flow
 * @p: the packet
 * @owner: its owner; becomes the one that the flow remembers if the packet's
 *	socket is gone
 * @direction: &enum linubia_direction
 * @ifindex: interface
 *
 * Only packets of users begin flows: a scan of closed ports fills no table.
 *
 * Context: RCU read side; softirq or process.
 * Return: whether @owner was changed to what the flow remembers.
 */
bool linubia_flow_packet(struct linubia_net *ln, const struct linubia_key *key,
			 const struct linubia_packet *p,
			 struct linubia_owner *owner, int direction,
			 int ifindex)
{
	u32 slot = linubia_key_slot(key);
	struct linubia_flow *flow = linubia_flow_in(slot, key);
	bool remembered = false;

	if (owner->row == LINUBIA_ROW_USER) {
		if (flow && unlikely(!linubia_flow_own(flow, owner))) {
			linubia_flow_replace(slot, flow);
			flow = NULL;
		}
		if (!flow)
			flow = linubia_flow_begin(ln, slot, key, owner);
		if (!flow)
			return false;
		if (owner->sk && !owner->listener)
			linubia_capture_process(flow, owner->sk, direction);
	} else {
		/*
		 * A closed connection's last packets, and protocols of which
		 * no socket can be looked for. ICMP between the same addresses
		 * may be anybody's, and a closed UDP port is nobody's.
		 */
		if (!flow || p->class == LINUBIA_ICMP ||
		    p->class == LINUBIA_UDP)
			return false;
		owner->row = LINUBIA_ROW_USER;
		owner->uid = READ_ONCE(flow->uid);
		remembered = true;
	}
	WRITE_ONCE(flow->seen, jiffies);
	if (READ_ONCE(flow->ifindex) != ifindex)
		WRITE_ONCE(flow->ifindex, ifindex);
	atomic64_add(p->packets, &flow->packets[direction]);
	atomic64_add(p->octets, &flow->octets[direction]);
	return remembered;
}

#define LINUBIA_BATCH 32

/*
 * Ends what is idle and reports what is old in one slot. Events are sent when
 * the lock is free again; the flows of a batch stay until RCU has come round.
 */
static void linubia_collect_slot(u32 slot)
{
	unsigned long idle = READ_ONCE(linubia_flow_idle) * HZ;
	unsigned long active = READ_ONCE(linubia_flow_active) * HZ;
	struct linubia_flow *batch[LINUBIA_BATCH];
	bool goes_on[LINUBIA_BATCH];
	struct linubia_flow *flow;
	struct hlist_node *next;
	unsigned int i, n;

	do {
		n = 0;
		rcu_read_lock();
		spin_lock_bh(linubia_slot_lock(slot));
		hlist_for_each_entry_safe(flow, next, &slots[slot], node) {
			if (n == LINUBIA_BATCH)
				break;
			if (time_after(jiffies, READ_ONCE(flow->seen) + idle)) {
				linubia_flow_remove(flow);
				goes_on[n] = false;
			} else if (time_after(jiffies,
					      flow->reported + active)) {
				flow->reported = jiffies;
				goes_on[n] = true;
			} else {
				continue;
			}
			batch[n++] = flow;
		}
		spin_unlock_bh(linubia_slot_lock(slot));
		for (i = 0; i < n; i++)
			linubia_report_flow(batch[i], goes_on[i]);
		rcu_read_unlock();
	} while (n == LINUBIA_BATCH);
}

/**
 * linubia_flow_collect - ends and reports flows whose time has come
 * @from: first slot
 * @n: slots to look at
 *
 * Context: process.
 * Return: the slot to go on with.
 */
u32 linubia_flow_collect(u32 from, u32 n)
{
	const u32 mask = (1U << slot_bits) - 1;

	while (n--) {
		from &= mask;
		if (!hlist_empty(&slots[from]))
			linubia_collect_slot(from);
		from++;
		if (!(from & 1023))
			cond_resched();
	}
	return from;
}

/**
 * linubia_flows_flush - ends flows
 * @ln: of this network namespace, or NULL for all
 *
 * Context: process.
 */
void linubia_flows_flush(const struct linubia_net *ln)
{
	struct linubia_flow *flow;
	struct hlist_node *next;
	u32 slot;

	for (slot = 0; slot < 1U << slot_bits; slot++) {
		if (!(slot & 1023))
			cond_resched();
		if (hlist_empty(&slots[slot]))
			continue;
		spin_lock_bh(linubia_slot_lock(slot));
		hlist_for_each_entry_safe(flow, next, &slots[slot], node)
			if (!ln || flow->key.ln == ln) {
				linubia_report_flow(flow, false);
				linubia_flow_remove(flow);
			}
		spin_unlock_bh(linubia_slot_lock(slot));
	}
}

/** linubia_flow_slots - Return: slots of the table */
u32 linubia_flow_slots(void)
{
	return 1U << slot_bits;
}

/**
 * linubia_flow_slot - one slot of the table
 * @slot: its number
 *
 * Return: list of &struct linubia_flow, to be walked under RCU.
 */
struct hlist_head *linubia_flow_slot(u32 slot)
{
	return &slots[slot];
}

/**
 * linubia_flows_init - makes the flow table
 *
 * Return: 0 or -ENOMEM.
 */
int linubia_flows_init(void)
{
	unsigned int limit = READ_ONCE(linubia_max_flows);
	unsigned int i;

	slot_bits = clamp_t(unsigned int, order_base_2(limit | 1),
			    LINUBIA_SLOT_BITS_MIN, LINUBIA_SLOT_BITS_MAX);
	get_random_bytes(&seed, sizeof(seed));
	for (i = 0; i < ARRAY_SIZE(locks); i++)
		spin_lock_init(&locks[i]);
	slots = kvcalloc(1UL << slot_bits, sizeof(*slots), GFP_KERNEL);
	if (!slots)
		return -ENOMEM;
	flow_cache = kmem_cache_create("linubia_flow",
				       sizeof(struct linubia_flow), 0,
				       SLAB_HWCACHE_ALIGN, NULL);
	if (!flow_cache) {
		kvfree(slots);
		return -ENOMEM;
	}
	return 0;
}

/**
 * linubia_flows_exit - frees the flow table
 *
 * No hook and no reader may be left.
 */
void linubia_flows_exit(void)
{
	linubia_flows_flush(NULL);
	/* Flows and interfaces are freed by callbacks that lie in this module. */
	rcu_barrier();
	kmem_cache_destroy(flow_cache);
	kvfree(slots);
}
