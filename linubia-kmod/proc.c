// SPDX-License-Identifier: GPL-2.0
/*
 * LINUBIA: text in /proc/net/linubia, one header line and a line per row.
 *
 * Who opened a file decides what is in it: all rows with CAP_NET_ADMIN over the
 * network namespace, else those of his own uid.
 */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/netdevice.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/rculist.h>
#include <linux/seq_file.h>
#include <linux/seq_file_net.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>

#include "linubia.h"

const char *const linubia_row_names[LINUBIA_ROWS] = {
	[LINUBIA_ROW_USER] = "user",
	[LINUBIA_ROW_FORWARDED] = "forwarded",
	[LINUBIA_ROW_KERNEL] = "kernel",
	[LINUBIA_ROW_CLOSING] = "closing",
	[LINUBIA_ROW_NONE] = "none",
	[LINUBIA_ROW_OVERFLOW] = "overflow",
	[LINUBIA_ROW_COPIES] = "copies",
};

static const char *const protocol_names[LINUBIA_PROTOCOLS] = {
	[LINUBIA_TCP] = "tcp",
	[LINUBIA_UDP] = "udp",
	[LINUBIA_ICMP] = "icmp",
	[LINUBIA_OTHER] = "other",
};

static const char *const way_names[LINUBIA_WAYS] = {
	[LINUBIA_WAY_IN] = "in",
	[LINUBIA_WAY_OUT] = "out",
	[LINUBIA_WAY_FORWARD_IN] = "forward_in",
	[LINUBIA_WAY_FORWARD_OUT] = "forward_out",
	[LINUBIA_WAY_LOOPED] = "looped",
};

static const char *const stat_names[LINUBIA_STATS] = {
	[LINUBIA_STAT_USERS] = "users",
	[LINUBIA_STAT_USERS_FULL] = "users_full",
	[LINUBIA_STAT_USERS_NO_MEMORY] = "users_no_memory",
	[LINUBIA_STAT_FLOWS] = "flows",
	[LINUBIA_STAT_FLOWS_BEGUN] = "flows_begun",
	[LINUBIA_STAT_FLOWS_FULL] = "flows_full",
	[LINUBIA_STAT_FLOWS_NO_MEMORY] = "flows_no_memory",
	[LINUBIA_STAT_EVENTS_LOST] = "events_lost",
	[LINUBIA_STAT_BY_SKB] = "by_skb",
	[LINUBIA_STAT_BY_LOOKUP] = "by_lookup",
	[LINUBIA_STAT_BY_FLOW] = "by_flow",
	[LINUBIA_STAT_BY_ECHO] = "by_echo",
	[LINUBIA_STAT_MALFORMED] = "malformed",
	[LINUBIA_STAT_RECEIVERS_MORE] = "receivers_more",
	[LINUBIA_STAT_OCTETS] = "octets",
};

static struct linubia_net *linubia_seq_net(struct seq_file *seq)
{
	return linubia_pernet(seq_file_net(seq));
}

static void linubia_seq_reader(struct seq_file *seq, const struct net *net,
			       struct linubia_reader *reader)
{
	reader->user_ns = seq_user_ns(seq);
	reader->pid_ns = proc_pid_ns(file_inode(seq->file)->i_sb);
	reader->uid = seq->file->f_cred->euid;
	reader->all = file_ns_capable(seq->file, net->user_ns, CAP_NET_ADMIN);
}

/*
 * Position 0 is the header, then come the remainders, then the slots of a hash
 * table, each as one record. So a file that is read in pieces stays right while
 * entries come and go.
 */
static void *linubia_seq_at(loff_t position, loff_t end)
{
	return position < end ? (void *)(unsigned long)(position + 1) : NULL;
}

static loff_t linubia_users_end(struct seq_file *seq)
{
	return 2 + (1LL << linubia_seq_net(seq)->user_bits);
}

static void *linubia_users_start(struct seq_file *seq, loff_t *position)
	__acquires(RCU)
{
	rcu_read_lock();
	return linubia_seq_at(*position, linubia_users_end(seq));
}

static void *linubia_users_next(struct seq_file *seq, void *at,
				loff_t *position)
{
	return linubia_seq_at(++*position, linubia_users_end(seq));
}

static void linubia_seq_stop(struct seq_file *seq, void *at)
	__releases(RCU)
{
	rcu_read_unlock();
}

static void linubia_users_row(struct seq_file *seq,
			      const struct linubia_account *account,
			      const struct linubia_reader *reader, int family)
{
	struct linubia_counters sum;
	int class, direction;

	if (!linubia_may_see(reader, account->row, account->uid))
		return;
	if (account->row == LINUBIA_ROW_USER)
		seq_printf(seq, "%u %u",
			   from_kuid_munged(reader->user_ns, account->uid),
			   from_kuid_munged(linubia_seq_net(seq)->user_ns,
					    account->uid));
	else
		seq_printf(seq, "%s -", linubia_row_names[account->row]);
	linubia_sum(account, &sum);
	for (class = 0; class < LINUBIA_PROTOCOLS; class++)
		for (direction = 0; direction < LINUBIA_DIRECTIONS;
		     direction++) {
			const struct linubia_cell *cell =
				&sum.cell[family][class][direction];

			seq_printf(seq, " %llu %llu", cell->packets,
				   cell->octets);
		}
	seq_putc(seq, '\n');
}

static int linubia_users_show(struct seq_file *seq, void *at, int family)
{
	struct linubia_net *ln = linubia_seq_net(seq);
	const struct linubia_account *account;
	unsigned long position = (unsigned long)at - 1;
	struct linubia_reader reader;
	int i;

	if (position == 0) {
		seq_puts(seq, "uid ns_uid");
		for (i = 0; i < LINUBIA_PROTOCOLS; i++)
			seq_printf(seq,
				   " %s_in_packets %s_in_octets %s_out_packets %s_out_octets",
				   protocol_names[i], protocol_names[i],
				   protocol_names[i], protocol_names[i]);
		seq_putc(seq, '\n');
		return 0;
	}
	linubia_seq_reader(seq, seq_file_net(seq), &reader);
	if (position == 1) {
		for (i = LINUBIA_ROW_USER + 1; i < LINUBIA_ROWS; i++)
			linubia_users_row(seq, &ln->rows[i], &reader, family);
		return 0;
	}
	hlist_for_each_entry_rcu(account, &ln->users[position - 2], node)
		linubia_users_row(seq, account, &reader, family);
	return 0;
}

static int linubia_users4_show(struct seq_file *seq, void *at)
{
	return linubia_users_show(seq, at, LINUBIA_IPV4);
}

static int linubia_users6_show(struct seq_file *seq, void *at)
{
	return linubia_users_show(seq, at, LINUBIA_IPV6);
}

static const struct seq_operations linubia_users4_ops = {
	.start = linubia_users_start,
	.next = linubia_users_next,
	.stop = linubia_seq_stop,
	.show = linubia_users4_show,
};

static const struct seq_operations linubia_users6_ops = {
	.start = linubia_users_start,
	.next = linubia_users_next,
	.stop = linubia_seq_stop,
	.show = linubia_users6_show,
};

static void *linubia_flows_start(struct seq_file *seq, loff_t *position)
	__acquires(RCU)
{
	rcu_read_lock();
	return linubia_seq_at(*position, 1LL + linubia_flow_slots());
}

static void *linubia_flows_next(struct seq_file *seq, void *at,
				loff_t *position)
{
	return linubia_seq_at(++*position, 1LL + linubia_flow_slots());
}

static void linubia_flows_row(struct seq_file *seq,
			      const struct linubia_flow *flow,
			      const struct linubia_reader *reader)
{
	struct linubia_flow_record r;
	unsigned int i;

	linubia_flow_record(flow, reader, &r);
	/* A name is one word here, whatever its process calls itself. */
	for (i = 0; i < sizeof(r.comm) && r.comm[i]; i++)
		if (r.comm[i] <= ' ' || r.comm[i] > '~')
			r.comm[i] = '?';
	if (r.family == 4)
		seq_printf(seq, "4 %u %pI4 %u %pI4 %u", r.protocol, r.local,
			   ntohs(r.local_port), r.remote, ntohs(r.remote_port));
	else
		seq_printf(seq, "6 %u %pI6c %u %pI6c %u", r.protocol, r.local,
			   ntohs(r.local_port), r.remote, ntohs(r.remote_port));
	seq_printf(seq,
		   " %u %u %u %s %u %llu %llu %u %llu %llu %llu %llu %llu %llu\n",
		   r.uid, r.ns_uid, r.tgid, r.comm[0] ? r.comm : "-", r.flags,
		   r.cgroup, r.cookie, r.ifindex, r.first_ns, r.last_ns,
		   r.in.packets, r.in.octets, r.out.packets, r.out.octets);
}

static int linubia_flows_show(struct seq_file *seq, void *at)
{
	const struct linubia_net *ln = linubia_seq_net(seq);
	unsigned long position = (unsigned long)at - 1;
	const struct linubia_flow *flow;
	struct linubia_reader reader;

	if (position == 0) {
		seq_puts(seq,
			 "family protocol local local_port remote remote_port uid ns_uid tgid comm flags cgroup cookie ifindex first_ns last_ns in_packets in_octets out_packets out_octets\n");
		return 0;
	}
	linubia_seq_reader(seq, seq_file_net(seq), &reader);
	hlist_for_each_entry_rcu(flow, linubia_flow_slot(position - 1), node)
		if (flow->key.ln == ln &&
		    linubia_may_see(&reader, LINUBIA_ROW_USER,
				    READ_ONCE(flow->uid)))
			linubia_flows_row(seq, flow, &reader);
	return 0;
}

static const struct seq_operations linubia_flows_ops = {
	.start = linubia_flows_start,
	.next = linubia_flows_next,
	.stop = linubia_seq_stop,
	.show = linubia_flows_show,
};

static int linubia_stats_show(struct seq_file *seq, void *at)
{
	u64 sum[LINUBIA_STATS];
	int i;

	linubia_stats_sum(linubia_pernet(seq_file_single_net(seq)), sum);
	seq_printf(seq, "version %s\n", LINUBIA_MODULE_VERSION);
	seq_printf(seq, "began_ns %llu\n",
		   linubia_pernet(seq_file_single_net(seq))->began_ns);
	seq_printf(seq, "max_users %u\n", READ_ONCE(linubia_max_users));
	seq_printf(seq, "max_flows %u\n", READ_ONCE(linubia_max_flows));
	for (i = 0; i < LINUBIA_STATS; i++)
		seq_printf(seq, "%s %llu\n", stat_names[i], sum[i]);
	return 0;
}

static void linubia_ways_row(struct seq_file *seq, const char *name,
			     const struct linubia_interface *interface,
			     int family)
{
	struct linubia_interface_counters sum;
	int way;

	linubia_interface_sum(interface, &sum);
	seq_printf(seq, "%d %s %d", interface->ifindex, name,
		   family == LINUBIA_IPV4 ? 4 : 6);
	for (way = 0; way < LINUBIA_WAYS; way++)
		seq_printf(seq, " %llu %llu %llu %llu",
			   sum.wire[family][way].packets,
			   sum.wire[family][way].octets,
			   sum.buffers[family][way].packets,
			   sum.buffers[family][way].octets);
	seq_putc(seq, '\n');
}

static int linubia_interfaces_show(struct seq_file *seq, void *at)
{
	const struct net *net = seq_file_single_net(seq);
	struct linubia_net *ln = linubia_pernet(net);
	const struct linubia_interface *interface;
	struct linubia_reader reader;
	int i, family;

	seq_puts(seq, "ifindex name family");
	for (i = 0; i < LINUBIA_WAYS; i++)
		seq_printf(seq,
			   " %s_packets %s_octets %s_buffers %s_buffer_octets",
			   way_names[i], way_names[i], way_names[i],
			   way_names[i]);
	seq_putc(seq, '\n');
	linubia_seq_reader(seq, net, &reader);
	if (!reader.all)
		return 0;
	rcu_read_lock();
	for (i = 0; i < 1 << LINUBIA_INTERFACE_BITS; i++)
		hlist_for_each_entry_rcu(interface, &ln->interfaces[i], node) {
			const struct net_device *device =
				dev_get_by_index_rcu(ln->net,
						     interface->ifindex);

			if (!device)
				continue;
			for (family = 0; family < LINUBIA_FAMILIES; family++)
				linubia_ways_row(seq, device->name, interface,
						 family);
		}
	rcu_read_unlock();
	return 0;
}

/**
 * linubia_proc_init - makes /proc/net/linubia of a network namespace
 * @ln: its accounts
 *
 * Return: 0 or -ENOMEM and nothing is left behind.
 */
int linubia_proc_init(struct linubia_net *ln)
{
	ln->proc = proc_net_mkdir(ln->net, "linubia", ln->net->proc_net);
	if (!ln->proc)
		return -ENOMEM;
	if (proc_create_net("users4", 0444, ln->proc, &linubia_users4_ops,
			    sizeof(struct seq_net_private)) &&
	    proc_create_net("users6", 0444, ln->proc, &linubia_users6_ops,
			    sizeof(struct seq_net_private)) &&
	    proc_create_net("flows", 0444, ln->proc, &linubia_flows_ops,
			    sizeof(struct seq_net_private)) &&
	    proc_create_net_single("interfaces", 0444, ln->proc,
				   linubia_interfaces_show, NULL) &&
	    proc_create_net_single("stats", 0444, ln->proc, linubia_stats_show,
				   NULL))
		return 0;
	linubia_proc_exit(ln);
	return -ENOMEM;
}

/**
 * linubia_proc_exit - removes /proc/net/linubia and waits for its readers
 * @ln: accounts of the network namespace
 */
void linubia_proc_exit(struct linubia_net *ln)
{
	proc_remove(ln->proc);
	ln->proc = NULL;
}
