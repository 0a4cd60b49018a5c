// SPDX-License-Identifier: GPL-2.0
/*
 * LINUBIA: the generic netlink family, as uapi/linubia.h describes it.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <linux/pid_namespace.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/netlink.h>

#include "compat.h"
#include "linubia.h"

static struct genl_family linubia_family;

static const struct nla_policy linubia_policy[LINUBIA_A_MAX + 1] = {
	[LINUBIA_A_RESET] = { .type = NLA_FLAG },
	[LINUBIA_A_UID] = { .type = NLA_U32 },
	[LINUBIA_A_MAX_USERS] = { .type = NLA_U32 },
	[LINUBIA_A_MAX_FLOWS] = { .type = NLA_U32 },
	[LINUBIA_A_FLOW_IDLE] = { .type = NLA_U32 },
	[LINUBIA_A_FLOW_ACTIVE] = { .type = NLA_U32 },
};

/**
 * struct linubia_dump - what a dump remembers between two messages
 * @slot: of the table
 * @index: in that slot
 * @all: the caller may see everything
 * @reset: the caller wants what came since the last reset
 * @chosen: only one user is asked for
 * @own: the caller's uid
 * @uid: the one asked for
 */
struct linubia_dump {
	u32 slot;
	u32 index;
	bool all;
	bool reset;
	bool chosen;
	kuid_t own;
	kuid_t uid;
};

static struct linubia_dump *linubia_dump(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct linubia_dump) > sizeof(cb->ctx));
	return (struct linubia_dump *)cb->ctx;
}

static void linubia_dump_reader(struct netlink_callback *cb,
				struct linubia_reader *reader)
{
	const struct linubia_dump *dump = linubia_dump(cb);

	reader->user_ns = sk_user_ns(NETLINK_CB(cb->skb).sk);
	reader->pid_ns = task_active_pid_ns(current);
	reader->uid = dump->own;
	reader->all = dump->all;
}

static int linubia_dump_start(struct netlink_callback *cb)
{
	struct linubia_dump *dump = linubia_dump(cb);
	struct net *net = sock_net(cb->skb->sk);
	struct nlattr **attrs = linubia_dump_attrs(cb);

	memset(dump, 0, sizeof(*dump));
	dump->all = netlink_ns_capable(cb->skb, net->user_ns, CAP_NET_ADMIN);
	dump->own = NETLINK_CREDS(cb->skb)->uid;
	if (!attrs)
		return 0;
	if (attrs[LINUBIA_A_RESET]) {
		if (!dump->all)
			return -EPERM;
		dump->reset = true;
	}
	if (attrs[LINUBIA_A_UID]) {
		dump->uid = make_kuid(sk_user_ns(NETLINK_CB(cb->skb).sk),
				      nla_get_u32(attrs[LINUBIA_A_UID]));
		if (!uid_valid(dump->uid))
			return -EINVAL;
		dump->chosen = true;
	}
	return 0;
}

static void *linubia_put_header(struct sk_buff *skb,
				struct netlink_callback *cb, u8 command)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &linubia_family, NLM_F_MULTI, command);
}

/* One row. The mark of a reset is set only when the row is in the message. */
static int linubia_put_user(struct sk_buff *skb, struct netlink_callback *cb,
			    struct linubia_net *ln,
			    struct linubia_account *account,
			    const struct linubia_reader *reader)
{
	const struct linubia_dump *dump = linubia_dump(cb);
	struct linubia_counters sum, now;
	void *header;

	if (!linubia_may_see(reader, account->row, account->uid))
		return 0;
	if (dump->chosen && (account->row != LINUBIA_ROW_USER ||
			     !uid_eq(account->uid, dump->uid)))
		return 0;
	header = linubia_put_header(skb, cb, LINUBIA_CMD_GET_USERS);
	if (!header)
		return -EMSGSIZE;
	linubia_sum(account, &now);
	sum = now;
	if (dump->reset)
		linubia_subtract(&sum, &account->base);
	if (nla_put_u8(skb, LINUBIA_A_ROW, account->row) ||
	    nla_put(skb, LINUBIA_A_COUNTERS, sizeof(sum), &sum))
		goto cancel;
	if (account->row == LINUBIA_ROW_USER &&
	    (nla_put_u32(skb, LINUBIA_A_UID,
			 from_kuid_munged(reader->user_ns, account->uid)) ||
	     nla_put_u32(skb, LINUBIA_A_NS_UID,
			 from_kuid_munged(ln->user_ns, account->uid))))
		goto cancel;
	genlmsg_end(skb, header);
	if (dump->reset)
		account->base = now;
	return 0;

cancel:
	genlmsg_cancel(skb, header);
	return -EMSGSIZE;
}

static int linubia_dump_users(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct linubia_net *ln = linubia_pernet(sock_net(skb->sk));
	struct linubia_dump *dump = linubia_dump(cb);
	struct linubia_account *account;
	struct linubia_reader reader;
	u32 end = 1 + (1U << ln->user_bits);
	int error = 0;
	u32 index;

	linubia_dump_reader(cb, &reader);
	mutex_lock(&ln->reset);
	rcu_read_lock();
	for (; dump->slot < end; dump->slot++, dump->index = 0) {
		if (dump->slot == 0) {
			for (index = dump->index + 1; index < LINUBIA_ROWS;
			     index++, dump->index++) {
				error = linubia_put_user(skb, cb, ln,
							 &ln->rows[index],
							 &reader);
				if (error)
					goto out;
			}
			continue;
		}
		index = 0;
		hlist_for_each_entry_rcu(account, &ln->users[dump->slot - 1],
					 node) {
			if (index++ < dump->index)
				continue;
			error = linubia_put_user(skb, cb, ln, account, &reader);
			if (error)
				goto out;
			dump->index++;
		}
	}
out:
	rcu_read_unlock();
	mutex_unlock(&ln->reset);
	return skb->len ? skb->len : error;
}

static int linubia_put_flow(struct sk_buff *skb, struct netlink_callback *cb,
			    const struct linubia_flow *flow,
			    const struct linubia_reader *reader)
{
	struct linubia_flow_record record;
	void *header = linubia_put_header(skb, cb, LINUBIA_CMD_GET_FLOWS);

	if (!header)
		return -EMSGSIZE;
	linubia_flow_record(flow, reader, &record);
	if (nla_put(skb, LINUBIA_A_FLOW, sizeof(record), &record)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

static int linubia_dump_flows(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct linubia_net *ln = linubia_pernet(sock_net(skb->sk));
	struct linubia_dump *dump = linubia_dump(cb);
	const struct linubia_flow *flow;
	struct linubia_reader reader;
	int error = 0;
	u32 index;

	linubia_dump_reader(cb, &reader);
	rcu_read_lock();
	for (; dump->slot < linubia_flow_slots(); dump->slot++,
	     dump->index = 0) {
		index = 0;
		hlist_for_each_entry_rcu(flow, linubia_flow_slot(dump->slot),
					 node) {
			kuid_t uid = READ_ONCE(flow->uid);

			if (index++ < dump->index)
				continue;
			if (flow->key.ln == ln &&
			    (!dump->chosen || uid_eq(uid, dump->uid)) &&
			    linubia_may_see(&reader, LINUBIA_ROW_USER, uid)) {
				error = linubia_put_flow(skb, cb, flow,
							 &reader);
				if (error)
					goto out;
			}
			dump->index++;
		}
	}
out:
	rcu_read_unlock();
	return skb->len ? skb->len : error;
}

static int linubia_put_interface(struct sk_buff *skb,
				 struct netlink_callback *cb,
				 const struct linubia_interface *interface)
{
	struct linubia_interface_counters sum;
	void *header = linubia_put_header(skb, cb, LINUBIA_CMD_GET_INTERFACES);

	if (!header)
		return -EMSGSIZE;
	linubia_interface_sum(interface, &sum);
	if (nla_put_u32(skb, LINUBIA_A_IFINDEX, interface->ifindex) ||
	    nla_put(skb, LINUBIA_A_INTERFACE, sizeof(sum), &sum)) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

static int linubia_dump_interfaces(struct sk_buff *skb,
				   struct netlink_callback *cb)
{
	const struct linubia_net *ln = linubia_pernet(sock_net(skb->sk));
	struct linubia_dump *dump = linubia_dump(cb);
	const struct linubia_interface *interface;
	int error = 0;
	u32 index;

	rcu_read_lock();
	for (; dump->slot < 1 << LINUBIA_INTERFACE_BITS; dump->slot++,
	     dump->index = 0) {
		index = 0;
		hlist_for_each_entry_rcu(interface,
					 &ln->interfaces[dump->slot], node) {
			if (index++ < dump->index)
				continue;
			error = linubia_put_interface(skb, cb, interface);
			if (error)
				goto out;
			dump->index++;
		}
	}
out:
	rcu_read_unlock();
	return skb->len ? skb->len : error;
}

static int linubia_get_stats(struct sk_buff *skb, struct genl_info *info)
{
	u64 sum[LINUBIA_STATS];
	struct sk_buff *reply;
	void *header;

	linubia_stats_sum(linubia_pernet(genl_info_net(info)), sum);
	reply = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	header = genlmsg_put_reply(reply, info, &linubia_family, 0,
				   LINUBIA_CMD_GET_STATS);
	if (!header ||
	    nla_put_string(reply, LINUBIA_A_VERSION, LINUBIA_MODULE_VERSION) ||
	    nla_put_u32(reply, LINUBIA_A_MAX_USERS,
			READ_ONCE(linubia_max_users)) ||
	    nla_put_u32(reply, LINUBIA_A_MAX_FLOWS,
			READ_ONCE(linubia_max_flows)) ||
	    nla_put_u32(reply, LINUBIA_A_FLOW_IDLE,
			READ_ONCE(linubia_flow_idle)) ||
	    nla_put_u32(reply, LINUBIA_A_FLOW_ACTIVE,
			READ_ONCE(linubia_flow_active)) ||
	    nla_put(reply, LINUBIA_A_STATS, sizeof(sum), sum)) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, header);
	return genlmsg_reply(reply, info);
}

static int linubia_set(struct sk_buff *skb, struct genl_info *info)
{
	static const int which[] = {
		LINUBIA_A_MAX_USERS,
		LINUBIA_A_MAX_FLOWS,
		LINUBIA_A_FLOW_IDLE,
		LINUBIA_A_FLOW_ACTIVE,
	};
	unsigned int i;
	int error;

	for (i = 0; i < ARRAY_SIZE(which); i++) {
		const struct nlattr *attribute = info->attrs[which[i]];

		if (!attribute)
			continue;
		error = linubia_set_limit(which[i], nla_get_u32(attribute));
		if (error) {
			NL_SET_BAD_ATTR(info->extack, attribute);
			return error;
		}
	}
	return 0;
}

static int linubia_flush(struct sk_buff *skb, struct genl_info *info)
{
	linubia_flows_flush(linubia_pernet(genl_info_net(info)));
	return 0;
}

static const struct genl_ops linubia_ops[] = {
	{
		.cmd = LINUBIA_CMD_GET_USERS,
		.start = linubia_dump_start,
		.dumpit = linubia_dump_users,
	},
	{
		.cmd = LINUBIA_CMD_GET_FLOWS,
		.start = linubia_dump_start,
		.dumpit = linubia_dump_flows,
	},
	{
		.cmd = LINUBIA_CMD_GET_INTERFACES,
		.flags = GENL_UNS_ADMIN_PERM,
		.start = linubia_dump_start,
		.dumpit = linubia_dump_interfaces,
	},
	{
		.cmd = LINUBIA_CMD_GET_STATS,
		.doit = linubia_get_stats,
	},
	{
		.cmd = LINUBIA_CMD_SET,
		.flags = GENL_ADMIN_PERM,
		.doit = linubia_set,
	},
	{
		.cmd = LINUBIA_CMD_FLUSH,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = linubia_flush,
	},
};

static const struct genl_multicast_group linubia_groups[] = {
	{ .name = LINUBIA_GENL_FLOW_ENDS, LINUBIA_MCAST_ADMIN },
};

static struct genl_family linubia_family __ro_after_init = {
	.name = LINUBIA_GENL_NAME,
	.version = LINUBIA_GENL_VERSION,
	.maxattr = LINUBIA_A_MAX,
	.policy = linubia_policy,
	.netnsok = true,
	.module = THIS_MODULE,
	.ops = linubia_ops,
	.n_ops = ARRAY_SIZE(linubia_ops),
	.mcgrps = linubia_groups,
	.n_mcgrps = ARRAY_SIZE(linubia_groups),
	.resv_start_op = __LINUBIA_CMD_AFTER_LAST,
};

/**
 * linubia_report_flow - tells listeners of a flow
 * @flow: the flow
 * @goes_on: it is reported for its age and has not ended
 *
 * Listeners are of the namespace's own user namespace as far as uids go.
 *
 * Context: RCU read side or slot lock held; softirq or process.
 */
void linubia_report_flow(const struct linubia_flow *flow, bool goes_on)
{
	const struct linubia_net *ln = flow->key.ln;
	const struct linubia_reader reader = {
		.user_ns = ln->user_ns,
		.pid_ns = &init_pid_ns,
		.all = true,
	};
	struct linubia_flow_record record;
	struct sk_buff *skb;
	void *header;

	if (!genl_has_listeners(&linubia_family, ln->net, 0))
		return;
	skb = genlmsg_new(nla_total_size(sizeof(record)), GFP_ATOMIC);
	if (!skb)
		goto lost;
	header = genlmsg_put(skb, 0, 0, &linubia_family, 0,
			     LINUBIA_CMD_FLOW_END);
	linubia_flow_record(flow, &reader, &record);
	if (goes_on)
		record.flags |= LINUBIA_FLOW_GOES_ON;
	if (!header ||
	    nla_put(skb, LINUBIA_A_FLOW, sizeof(record), &record)) {
		nlmsg_free(skb);
		goto lost;
	}
	genlmsg_end(skb, header);
	if (genlmsg_multicast_netns(&linubia_family, ln->net, skb, 0, 0,
				    GFP_ATOMIC) == -ENOBUFS)
		goto lost;
	return;

lost:
	linubia_stat(ln, LINUBIA_STAT_EVENTS_LOST);
}

/** linubia_netlink_init - Return: 0 or a negative error */
int __init linubia_netlink_init(void)
{
	return genl_register_family(&linubia_family);
}

/** linubia_netlink_exit - waits for dumps to end and takes no more */
void linubia_netlink_exit(void)
{
	genl_unregister_family(&linubia_family);
}
