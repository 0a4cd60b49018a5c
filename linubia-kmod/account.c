// SPDX-License-Identifier: GPL-2.0
/*
 * LINUBIA: accounts of users, remainders and interfaces.
 *
 * Counters are per CPU and 64 bits wide and only ever added to. Reading sums
 * them; a reset is a mark (the sum at that time) and takes nothing away from
 * them, so no counter goes backwards and nothing is lost between two readers.
 */
#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "linubia.h"

#define LINUBIA_ATOMIC (GFP_ATOMIC | __GFP_NOWARN)

/**
 * linubia_user_begin - makes the account of a user
 * @ln: accounts of the network namespace
 * @uid: the user
 *
 * Context: RCU read side.
 * Return: the account, also if another CPU made it meanwhile; that of the
 * overflow row if there is no room or no memory.
 */
struct linubia_account *linubia_user_begin(struct linubia_net *ln, kuid_t uid)
{
	struct hlist_head *slot = linubia_user_slot(ln, uid);
	enum linubia_stat why = LINUBIA_STAT_USERS_NO_MEMORY;
	struct linubia_account *account, *other;

	if (READ_ONCE(ln->user_count) >= READ_ONCE(linubia_max_users)) {
		why = LINUBIA_STAT_USERS_FULL;
		goto none;
	}
	account = kzalloc(sizeof(*account), LINUBIA_ATOMIC);
	if (!account)
		goto none;
	account->uid = uid;
	account->row = LINUBIA_ROW_USER;
	account->counters = alloc_percpu_gfp(struct linubia_counters,
					     LINUBIA_ATOMIC);
	if (!account->counters)
		goto free_account;

	spin_lock_bh(&ln->lock);
	hlist_for_each_entry(other, slot, node)
		if (uid_eq(other->uid, uid))
			goto free_counters;
	other = NULL;
	if (ln->user_count >= linubia_max_users) {
		why = LINUBIA_STAT_USERS_FULL;
		goto free_counters;
	}
	WRITE_ONCE(ln->user_count, ln->user_count + 1);
	hlist_add_head_rcu(&account->node, slot);
	spin_unlock_bh(&ln->lock);
	return account;

free_counters:
	spin_unlock_bh(&ln->lock);
	free_percpu(account->counters);
	kfree(account);
	if (other)
		return other;
	goto none;
free_account:
	kfree(account);
none:
	linubia_stat(ln, why);
	return &ln->rows[LINUBIA_ROW_OVERFLOW];
}

/**
 * linubia_sum - reads a row
 * @account: the row
 * @sum: its counters over all CPUs
 */
void linubia_sum(const struct linubia_account *account,
		 struct linubia_counters *sum)
{
	const unsigned int n = sizeof(*sum) / sizeof(u64);
	u64 *to = (u64 *)sum;
	unsigned int i;
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const u64 *from = (u64 *)per_cpu_ptr(account->counters, cpu);

		for (i = 0; i < n; i++)
			to[i] += READ_ONCE(from[i]);
	}
}

/**
 * linubia_subtract - makes a difference of sums
 * @from: sums that become the difference
 * @what: earlier ones
 */
void linubia_subtract(struct linubia_counters *from,
		      const struct linubia_counters *what)
{
	const unsigned int n = sizeof(*from) / sizeof(u64);
	const u64 *earlier = (const u64 *)what;
	u64 *later = (u64 *)from;
	unsigned int i;

	for (i = 0; i < n; i++)
		later[i] -= earlier[i];
}

/**
 * linubia_interface_begin - makes the counters of an interface
 * @ln: accounts of the network namespace
 * @ifindex: of the interface
 *
 * Context: RCU read side.
 * Return: the counters, or NULL where there is no memory for them.
 */
struct linubia_interface *linubia_interface_begin(struct linubia_net *ln,
						  int ifindex)
{
	unsigned int slot = ifindex & ((1 << LINUBIA_INTERFACE_BITS) - 1);
	struct linubia_interface *interface, *other;

	if (READ_ONCE(ln->interface_count) >= LINUBIA_MAX_INTERFACES)
		return NULL;
	interface = kzalloc(sizeof(*interface), LINUBIA_ATOMIC);
	if (!interface)
		return NULL;
	interface->ifindex = ifindex;
	interface->ways = alloc_percpu_gfp(struct linubia_ways, LINUBIA_ATOMIC);
	if (!interface->ways)
		goto free_interface;

	spin_lock_bh(&ln->lock);
	hlist_for_each_entry(other, &ln->interfaces[slot], node)
		if (other->ifindex == ifindex)
			goto free_ways;
	WRITE_ONCE(ln->interface_count, ln->interface_count + 1);
	hlist_add_head_rcu(&interface->node, &ln->interfaces[slot]);
	spin_unlock_bh(&ln->lock);
	return interface;

free_ways:
	spin_unlock_bh(&ln->lock);
	free_percpu(interface->ways);
	kfree(interface);
	return other;
free_interface:
	kfree(interface);
	return NULL;
}

static void linubia_interface_free(struct rcu_head *rcu)
{
	struct linubia_interface *interface =
		container_of(rcu, struct linubia_interface, rcu);

	free_percpu(interface->ways);
	kfree(interface);
}

/**
 * linubia_interface_gone - forgets an interface
 * @ln: accounts of the network namespace
 * @ifindex: of the interface
 */
void linubia_interface_gone(struct linubia_net *ln, int ifindex)
{
	unsigned int slot = ifindex & ((1 << LINUBIA_INTERFACE_BITS) - 1);
	struct linubia_interface *interface;

	spin_lock_bh(&ln->lock);
	hlist_for_each_entry(interface, &ln->interfaces[slot], node) {
		if (interface->ifindex != ifindex)
			continue;
		hlist_del_rcu(&interface->node);
		WRITE_ONCE(ln->interface_count, ln->interface_count - 1);
		call_rcu(&interface->rcu, linubia_interface_free);
		break;
	}
	spin_unlock_bh(&ln->lock);
}

/**
 * linubia_interface_sum - reads the counters of an interface
 * @interface: whose
 * @sum: over all CPUs
 */
void linubia_interface_sum(const struct linubia_interface *interface,
			   struct linubia_interface_counters *sum)
{
	int cpu, family, way;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const struct linubia_ways *ways =
			per_cpu_ptr(interface->ways, cpu);

		for (family = 0; family < LINUBIA_FAMILIES; family++)
			for (way = 0; way < LINUBIA_WAYS; way++) {
				const struct linubia_cell *wire =
					&ways->wire[family][way];
				const struct linubia_cell *merged =
					&ways->merged[family][way];
				struct linubia_cell *buffers =
					&sum->buffers[family][way];
				u64 packets = READ_ONCE(wire->packets);
				u64 octets = READ_ONCE(wire->octets);

				sum->wire[family][way].packets += packets;
				sum->wire[family][way].octets += octets;
				buffers->packets += packets -
					READ_ONCE(merged->packets);
				buffers->octets += octets -
					READ_ONCE(merged->octets);
			}
	}
}

/**
 * linubia_stats_sum - reads the statistics of a network namespace
 * @ln: its accounts
 * @sum: %LINUBIA_STATS values
 */
void linubia_stats_sum(const struct linubia_net *ln, u64 *sum)
{
	u64 cpus = num_possible_cpus();
	u64 interfaces = READ_ONCE(ln->interface_count);
	u64 users = READ_ONCE(ln->user_count);
	u64 flows = atomic_read(&ln->flow_count);
	unsigned int i;
	int cpu;

	memset(sum, 0, LINUBIA_STATS * sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const struct linubia_stats *stats = per_cpu_ptr(ln->stats, cpu);

		for (i = 0; i < LINUBIA_STATS; i++)
			sum[i] += READ_ONCE(stats->value[i]);
	}
	sum[LINUBIA_STAT_USERS] = users;
	sum[LINUBIA_STAT_FLOWS] = flows;
	sum[LINUBIA_STAT_OCTETS] =
		sizeof(*ln) + ((u64)sizeof(*ln->users) << ln->user_bits) +
		cpus * sizeof(struct linubia_stats) +
		(LINUBIA_ROWS - 1) * cpus * sizeof(struct linubia_counters) +
		users * (sizeof(struct linubia_account) +
			 cpus * sizeof(struct linubia_counters)) +
		interfaces * (sizeof(struct linubia_interface) +
			      cpus * sizeof(struct linubia_ways)) +
		flows * sizeof(struct linubia_flow);
}

/**
 * linubia_accounts_init - makes the accounts of a network namespace
 * @ln: filled
 *
 * Return: 0, or -ENOMEM and nothing is left behind.
 */
int linubia_accounts_init(struct linubia_net *ln)
{
	unsigned int limit = READ_ONCE(linubia_max_users);
	int row;

	spin_lock_init(&ln->lock);
	mutex_init(&ln->reset);
	atomic_set(&ln->flow_count, 0);
	ln->user_bits = clamp_t(unsigned int, ilog2(limit | 1), 4,
				LINUBIA_USER_BITS_MAX);
	ln->users = kvcalloc(1UL << ln->user_bits, sizeof(*ln->users),
			     GFP_KERNEL);
	if (!ln->users)
		return -ENOMEM;
	ln->stats = alloc_percpu(struct linubia_stats);
	if (!ln->stats)
		goto free_users;
	for (row = LINUBIA_ROW_USER + 1; row < LINUBIA_ROWS; row++) {
		ln->rows[row].row = row;
		ln->rows[row].uid = INVALID_UID;
		ln->rows[row].counters = alloc_percpu(struct linubia_counters);
		if (!ln->rows[row].counters)
			goto free_rows;
	}
	return 0;

free_rows:
	while (--row > LINUBIA_ROW_USER)
		free_percpu(ln->rows[row].counters);
	free_percpu(ln->stats);
free_users:
	kvfree(ln->users);
	return -ENOMEM;
}

/**
 * linubia_accounts_exit - frees the accounts of a network namespace
 * @ln: of which no hook and no reader is left
 */
void linubia_accounts_exit(struct linubia_net *ln)
{
	struct linubia_interface *interface;
	struct linubia_account *account;
	struct hlist_node *next;
	unsigned int i;

	for (i = 0; i < 1U << ln->user_bits; i++)
		hlist_for_each_entry_safe(account, next, &ln->users[i], node) {
			free_percpu(account->counters);
			kfree(account);
		}
	for (i = 0; i < 1U << LINUBIA_INTERFACE_BITS; i++)
		hlist_for_each_entry_safe(interface, next, &ln->interfaces[i],
					  node) {
			free_percpu(interface->ways);
			kfree(interface);
		}
	for (i = LINUBIA_ROW_USER + 1; i < LINUBIA_ROWS; i++)
		free_percpu(ln->rows[i].counters);
	free_percpu(ln->stats);
	kvfree(ln->users);
}
