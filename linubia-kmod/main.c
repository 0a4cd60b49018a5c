// SPDX-License-Identifier: GPL-2.0
/*
 * LINUBIA: accounts IP traffic to the users whose sockets send and receive it.
 *
 * main	limits, network namespaces, the collector of ended flows
 * hook	netfilter hooks; whose a packet is
 * packet	what a packet is; how much of it goes on the wire
 * account	counters of users, remainders and interfaces
 * flow	flow table
 * netlink	generic netlink family, see uapi/linubia.h
 * proc	the same as text in /proc/net/linubia
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cgroup.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sock_diag.h>
#include <linux/string.h>
#include <linux/sysctl.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/sock.h>

#include "compat.h"
#include "linubia.h"

/* Ranges of the limits. */
static unsigned int one = 1;
static unsigned int zero;
static unsigned int most_users = 1 << 20;
static unsigned int most_flows = 1 << 22;
static unsigned int day = 86400;

unsigned int linubia_max_users = 16384;
unsigned int linubia_max_flows = 65536;
unsigned int linubia_flow_idle = 60;
unsigned int linubia_flow_active = 300;

struct linubia_limit {
	int attribute;
	unsigned int *value;
	unsigned int *least;
	unsigned int *most;
};

static const struct linubia_limit limits[] = {
	{ LINUBIA_A_MAX_USERS, &linubia_max_users, &one, &most_users },
	{ LINUBIA_A_MAX_FLOWS, &linubia_max_flows, &zero, &most_flows },
	{ LINUBIA_A_FLOW_IDLE, &linubia_flow_idle, &one, &day },
	{ LINUBIA_A_FLOW_ACTIVE, &linubia_flow_active, &one, &day },
};

/**
 * linubia_set_limit - changes a limit
 * @attribute: which, %LINUBIA_A_MAX_USERS and the like
 * @value: new value
 *
 * Return: 0, or -ERANGE.
 */
int linubia_set_limit(int attribute, u32 value)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		if (limits[i].attribute != attribute)
			continue;
		if (value < *limits[i].least || value > *limits[i].most)
			return -ERANGE;
		WRITE_ONCE(*limits[i].value, value);
		return 0;
	}
	return -EINVAL;
}

static int linubia_param_set(const char *text, const struct kernel_param *kp)
{
	unsigned int i, value;
	int error = kstrtouint(text, 0, &value);

	if (error)
		return error;
	for (i = 0; i < ARRAY_SIZE(limits); i++)
		if (limits[i].value == kp->arg)
			return linubia_set_limit(limits[i].attribute, value);
	return -EINVAL;
}

static const struct kernel_param_ops linubia_param_ops = {
	.set = linubia_param_set,
	.get = param_get_uint,
};

module_param_cb(max_users, &linubia_param_ops, &linubia_max_users, 0644);
MODULE_PARM_DESC(max_users, "most users per network namespace (16384)");
module_param_cb(max_flows, &linubia_param_ops, &linubia_max_flows, 0644);
MODULE_PARM_DESC(max_flows, "most flows of the host, 0 for none (65536)");
module_param_cb(flow_idle, &linubia_param_ops, &linubia_flow_idle, 0644);
MODULE_PARM_DESC(flow_idle, "seconds of silence that end a flow (60)");
module_param_cb(flow_active, &linubia_param_ops, &linubia_flow_active, 0644);
MODULE_PARM_DESC(flow_active, "seconds after which a flow is reported (300)");

#define LINUBIA_SYSCTL(name, least, most)		\
{							\
	.procname = #name,				\
	.data = &linubia_##name,			\
	.maxlen = sizeof(linubia_##name),		\
	.mode = 0644,					\
	.proc_handler = proc_douintvec_minmax,		\
	.extra1 = least,				\
	.extra2 = most,					\
}

static struct ctl_table linubia_sysctls[] = {
	LINUBIA_SYSCTL(max_users, &one, &most_users),
	LINUBIA_SYSCTL(max_flows, &zero, &most_flows),
	LINUBIA_SYSCTL(flow_idle, &one, &day),
	LINUBIA_SYSCTL(flow_active, &one, &day),
	LINUBIA_SYSCTL_END
};

static struct ctl_table_header *sysctl_header;
static unsigned int linubia_id __read_mostly;

/**
 * linubia_pernet - accounts of a network namespace
 * @net: the namespace
 *
 * Return: its accounts.
 */
struct linubia_net *linubia_pernet(const struct net *net)
{
	return net_generic(net, linubia_id);
}

/** linubia_now_ns - Return: real time, nanoseconds since 1970 */
u64 linubia_now_ns(void)
{
	return ktime_get_real_ns();
}

/**
 * linubia_capture_process - notes who uses the socket of a flow
 * @flow: the flow
 * @sk: its socket, a full one
 * @direction: of the packet
 *
 * Whoever sends is running now, unless the kernel sends by itself in a softirq.
 *
 * Context: RCU read side; softirq or process.
 */
void linubia_capture_process(struct linubia_flow *flow, struct sock *sk,
			     int direction)
{
	struct task_struct *task;
	u16 flags;

	if (unlikely(!flow->cookie ||
		     flow->cookie != atomic64_read(&sk->sk_cookie))) {
		u32 cookie[2];

		sock_diag_save_cookie(sk, cookie);
		flow->cookie = (u64)cookie[1] << 32 | cookie[0];
#ifdef CONFIG_SOCK_CGROUP_DATA
		flow->cgroup = cgroup_id(sock_cgroup_ptr(&sk->sk_cgrp_data));
#endif
	}
	if (direction != LINUBIA_OUT || in_serving_softirq() ||
	    current->flags & PF_KTHREAD)
		return;
	task = current->group_leader;
	if (likely(flow->tgid == task->pid))
		return;
	flags = READ_ONCE(flow->flags) | LINUBIA_FLOW_PROCESS;
	if (flow->tgid)
		flags |= LINUBIA_FLOW_SHARED;
	memcpy(flow->comm, task->comm, sizeof(flow->comm));
	flow->comm[sizeof(flow->comm) - 1] = 0;
	WRITE_ONCE(flow->tgid, task->pid);
	WRITE_ONCE(flow->flags, flags);
}

/* A process as the reader numbers it; 0 if he cannot see it. */
static u32 linubia_visible_pid(pid_t tgid, struct pid_namespace *pid_ns)
{
	struct pid *pid;
	u32 number = 0;

	if (!tgid || pid_ns == &init_pid_ns)
		return tgid;
	rcu_read_lock();
	pid = find_pid_ns(tgid, &init_pid_ns);
	if (pid)
		number = pid_nr_ns(pid, pid_ns);
	rcu_read_unlock();
	return number;
}

/**
 * linubia_flow_record - a flow as readers get it
 * @flow: the flow
 * @reader: who reads
 * @record: filled
 *
 * Context: RCU read side.
 */
void linubia_flow_record(const struct linubia_flow *flow,
			 const struct linubia_reader *reader,
			 struct linubia_flow_record *record)
{
	unsigned long begun = flow->begun;
	unsigned long seen = READ_ONCE(flow->seen);
	kuid_t uid = READ_ONCE(flow->uid);

	memset(record, 0, sizeof(*record));
	memcpy(record->local, &flow->key.local, sizeof(record->local));
	memcpy(record->remote, &flow->key.remote, sizeof(record->remote));
	record->local_port = flow->key.local_port;
	record->remote_port = flow->key.remote_port;
	record->family = flow->key.family == LINUBIA_IPV4 ? 4 : 6;
	record->protocol = flow->key.protocol;
	record->flags = READ_ONCE(flow->flags);
	record->uid = from_kuid_munged(reader->user_ns, uid);
	record->ns_uid = from_kuid_munged(flow->key.ln->user_ns, uid);
	record->ifindex = READ_ONCE(flow->ifindex);
	record->tgid = linubia_visible_pid(READ_ONCE(flow->tgid),
					   reader->pid_ns);
	memcpy(record->comm, flow->comm, sizeof(record->comm));
	record->comm[sizeof(record->comm) - 1] = 0;
	record->cgroup = flow->cgroup;
	record->cookie = flow->cookie;
	record->first_ns = flow->begun_ns;
	record->last_ns = flow->begun_ns + jiffies_to_nsecs(seen - begun);
	record->in.packets = atomic64_read(&flow->packets[LINUBIA_IN]);
	record->in.octets = atomic64_read(&flow->octets[LINUBIA_IN]);
	record->out.packets = atomic64_read(&flow->packets[LINUBIA_OUT]);
	record->out.octets = atomic64_read(&flow->octets[LINUBIA_OUT]);
}

/* The whole table is gone through this many times in the least idle time. */
#define LINUBIA_ROUNDS 4

static struct workqueue_struct *workqueue;
static u32 collected;

static void linubia_collect(struct work_struct *work)
{
	u32 slots = linubia_flow_slots() / LINUBIA_ROUNDS;

	collected = linubia_flow_collect(collected, slots);
	queue_delayed_work(workqueue, to_delayed_work(work), HZ);
}

static DECLARE_DELAYED_WORK(collector, linubia_collect);

static int __net_init linubia_net_init(struct net *net)
{
	struct linubia_net *ln = linubia_pernet(net);
	int error;

	ln->net = net;
	ln->user_ns = net->user_ns;
	ln->began_ns = ktime_get_real_ns();
	error = linubia_accounts_init(ln);
	if (error)
		return error;
	error = linubia_proc_init(ln);
	if (error)
		goto free_accounts;
	error = linubia_hooks_register(ln);
	if (error)
		goto remove_proc;
	return 0;

remove_proc:
	linubia_proc_exit(ln);
free_accounts:
	linubia_accounts_exit(ln);
	return error;
}

/* After this the core waits until no CPU is in a hook any more. */
static void __net_exit linubia_net_pre_exit(struct net *net)
{
	struct linubia_net *ln = linubia_pernet(net);

	linubia_hooks_unregister(ln);
	linubia_proc_exit(ln);
}

static void __net_exit linubia_net_exit(struct net *net)
{
	struct linubia_net *ln = linubia_pernet(net);

	if (atomic_read(&ln->flow_count))
		linubia_flows_flush(ln);
	/*
	 * Who walks the flow table may still read a flow of this namespace, and
	 * through it the accounts that go away now.
	 */
	synchronize_rcu();
	linubia_accounts_exit(ln);
}

static struct pernet_operations linubia_net_ops = {
	.init = linubia_net_init,
	.pre_exit = linubia_net_pre_exit,
	.exit = linubia_net_exit,
	.id = &linubia_id,
	.size = sizeof(struct linubia_net),
};

static int linubia_netdevice_event(struct notifier_block *block,
				   unsigned long event, void *data)
{
	const struct net_device *device = netdev_notifier_info_to_dev(data);

	if (event == NETDEV_UNREGISTER)
		linubia_interface_gone(linubia_pernet(dev_net(device)),
				       device->ifindex);
	return NOTIFY_DONE;
}

static struct notifier_block linubia_netdevice_notifier = {
	.notifier_call = linubia_netdevice_event,
};

static int __init linubia_init(void)
{
	int error;

	linubia_hooks_init();
	error = linubia_flows_init();
	if (error)
		return error;
	workqueue = alloc_workqueue("linubia", WQ_UNBOUND, 1);
	if (!workqueue) {
		error = -ENOMEM;
		goto free_flows;
	}
	error = linubia_netlink_init();
	if (error)
		goto destroy_workqueue;
	error = register_pernet_subsys(&linubia_net_ops);
	if (error)
		goto unregister_netlink;
	error = register_netdevice_notifier(&linubia_netdevice_notifier);
	if (error)
		goto unregister_pernet;
	sysctl_header = register_net_sysctl(&init_net, "net/linubia",
					    linubia_sysctls);
	if (!sysctl_header) {
		error = -ENOMEM;
		goto unregister_notifier;
	}
	queue_delayed_work(workqueue, &collector, HZ);
	pr_info("version %s, %zu octets a flow, %zu octets a user\n",
		LINUBIA_MODULE_VERSION, sizeof(struct linubia_flow),
		sizeof(struct linubia_account) +
		num_possible_cpus() * sizeof(struct linubia_counters));
	return 0;

unregister_notifier:
	unregister_netdevice_notifier(&linubia_netdevice_notifier);
unregister_pernet:
	unregister_pernet_subsys(&linubia_net_ops);
unregister_netlink:
	linubia_netlink_exit();
destroy_workqueue:
	destroy_workqueue(workqueue);
free_flows:
	linubia_flows_exit();
	return error;
}

static void __exit linubia_exit(void)
{
	unregister_net_sysctl_table(sysctl_header);
	unregister_netdevice_notifier(&linubia_netdevice_notifier);
	/* Readers first: a dump goes on between two calls of its reader. */
	linubia_netlink_exit();
	cancel_delayed_work_sync(&collector);
	unregister_pernet_subsys(&linubia_net_ops);
	destroy_workqueue(workqueue);
	linubia_flows_exit();
}

module_init(linubia_init);
module_exit(linubia_exit);

MODULE_AUTHOR("darta");
MODULE_DESCRIPTION("Accounts IP traffic to the users whose sockets send and receive it");
MODULE_LICENSE("GPL");
MODULE_VERSION(LINUBIA_MODULE_VERSION);
