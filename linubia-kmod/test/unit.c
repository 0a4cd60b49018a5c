// SPDX-License-Identifier: GPL-2.0
/*
 * packet.c, account.c and flow.c in user space: what must hold, and under
 * libFuzzer (-DFUZZ) what must hold whatever happens.
 */
#include "../linubia.h"

struct rcu_head *stub_waiting;
unsigned int stub_fail;
long stub_held;
unsigned long stub_jiffies = 1000;
unsigned int linubia_max_users = 8;
unsigned int linubia_max_flows = 6;
unsigned int linubia_flow_idle = 10;
unsigned int linubia_flow_active = 30;

static unsigned int allocations, ended, going_on, captured;
static u64 ended_octets;

void *stub_alloc(size_t octets)
{
	if (stub_fail && ++allocations % stub_fail == 0)
		return NULL;
	stub_held++;
	return calloc(1, octets);
}

void stub_free(void *what)
{
	if (what)
		stub_held--;
	free(what);
}

u64 linubia_now_ns(void)
{
	return 1700000000000000000ULL;
}

void linubia_capture_process(struct linubia_flow *flow, struct sock *sk,
			     int direction)
{
	(void)flow, (void)sk, (void)direction;
	captured++;
}

void linubia_report_flow(const struct linubia_flow *flow, bool goes_on)
{
	if (goes_on) {
		going_on++;
		return;
	}
	ended++;
	ended_octets += flow->octets[0].counter + flow->octets[1].counter;
}

/* As net/ipv6/exthdrs_core.c, on octets in one piece. */
int ipv6_skip_exthdr(const struct sk_buff *skb, int start, u8 *protocol,
		     __be16 *fragment)
{
	*fragment = 0;
	while (*protocol == 0 || *protocol == 43 || *protocol == 44 ||
	       *protocol == 51 || *protocol == 60 || *protocol == 59) {
		u8 head[8];

		if (*protocol == 59 ||
		    !skb_header_pointer(skb, start, 2, head))
			return -1;
		if (*protocol == 44) {
			if (!skb_header_pointer(skb, start, 8, head))
				return -1;
			memcpy(fragment, head + 2, 2);
			if (ntohs(*fragment) & ~7)
				break;
			start += 8;
		} else {
			start += *protocol == 51 ? (head[1] + 2) * 4 :
						   (head[1] + 1) * 8;
		}
		*protocol = head[0];
	}
	return start;
}

int ipv6_find_hdr(const struct sk_buff *skb, unsigned int *offset, int target,
		  unsigned short *fragment, int *flags)
{
	u8 next = skb->data[6];
	unsigned int at = 40;

	(void)fragment, (void)flags;
	while (next != target) {
		u8 head[2];

		if ((next != 0 && next != 43 && next != 60 && next != 51) ||
		    !skb_header_pointer(skb, at, 2, head))
			return -1;
		at += next == 51 ? (head[1] + 2) * 4 : (head[1] + 1) * 8;
		next = head[0];
	}
	*offset = at;
	return next;
}

#define EXPECT(what)							\
do {									\
	if (!(what)) {							\
		fprintf(stderr, "%s:%d: not so: %s\n", __FILE__,	\
			__LINE__, #what);				\
		abort();						\
	}								\
} while (0)

static struct linubia_key key_of(struct linubia_net *ln, unsigned int n)
{
	struct linubia_key key = {
		.ln = ln, .family = n & 1, .protocol = IPPROTO_TCP,
	};

	key.local.s6_addr32[0] = 1;
	key.remote.s6_addr32[0] = n;
	key.local_port = htons(n);
	return key;
}

/* Octets of all rows, copies not among them. */
static u64 all_octets(const struct linubia_net *ln)
{
	struct linubia_counters sum;
	const struct linubia_account *account;
	u64 octets = 0;
	unsigned int i, j;

	for (i = 1; i < LINUBIA_ROWS; i++) {
		linubia_sum(&ln->rows[i], &sum);
		for (j = 0; j < sizeof(sum) / 16; j++)
			octets += (&sum.cell[0][0][0])[j].octets;
	}
	for (i = 0; i < 1U << ln->user_bits; i++)
		hlist_for_each_entry(account, &ln->users[i], node) {
			linubia_sum(account, &sum);
			for (j = 0; j < sizeof(sum) / 16; j++)
				octets += (&sum.cell[0][0][0])[j].octets;
		}
	return octets;
}

static u64 flow_octets(void)
{
	const struct linubia_flow *flow;
	u64 octets = 0;
	u32 slot;

	for (slot = 0; slot < linubia_flow_slots(); slot++)
		hlist_for_each_entry(flow, linubia_flow_slot(slot), node)
			octets += flow->octets[0].counter +
				  flow->octets[1].counter;
	return octets;
}

/*
 * Packets, resets, time, flushes and failing memory, as the octets say. What
 * came in is in a row, no more flows and users are held than allowed, and at
 * the end nothing is left.
 */
static void anything(const u8 *octets, size_t n)
{
	static struct linubia_net ln;
	u64 in = 0, to_flows = 0;
	size_t at;
	u32 slot = 0;

	memset(&ln, 0, sizeof(ln));
	EXPECT(linubia_flows_init() == 0);
	EXPECT(linubia_accounts_init(&ln) == 0);
	ended_octets = 0;
	for (at = 0; at + 4 <= n; at += 4) {
		const u8 *o = octets + at;
		struct linubia_packet p = {
			.family = o[1] & 1, .class = o[1] >> 1 & 3,
			.protocol = IPPROTO_TCP, .packets = 1,
			.octets = o[2] + 1,
		};
		struct linubia_owner owner = {
			.row = o[0] & 7, .uid = { o[3] & 15 },
			.listener = o[3] >> 4 & 1, .opening = o[3] >> 5 & 1,
			.sk = (void *)(uintptr_t)(o[3] >> 6 & 1),
		};
		struct linubia_key key = key_of(&ln, o[2] & 15);
		struct linubia_flow *flow;

		if (o[0] >= 0xf0) {
			stub_jiffies += o[1] * 16;
			slot = linubia_flow_collect(slot, o[2]);
		} else if (o[0] >= 0xe8) {
			linubia_flows_flush(o[1] & 1 ? &ln : NULL);
		} else if (o[0] >= 0xe0) {
			rcu_barrier();
		} else if (o[0] >= 0xd8) {
			stub_fail = o[1] & 7;
		} else if (o[0] >= 0xd0) {
			linubia_interface_gone(&ln, o[1] & 3);
		} else {
			if (owner.row >= LINUBIA_ROWS)
				owner.row = 0;
			linubia_flow_packet(&ln, &key, &p, &owner, o[1] & 1, 1);
			flow = linubia_flow_find(&key);
			if (flow && owner.row == LINUBIA_ROW_USER) {
				EXPECT(uid_eq(flow->uid, owner.uid) ||
				       flow->flags & LINUBIA_FLOW_LISTENER);
			}
			EXPECT(owner.row < LINUBIA_ROWS);
			linubia_account(&ln, &p, &owner, o[1] & 1);
			linubia_pass(&ln, o[2] & 3, &p, o[1] % LINUBIA_WAYS);
			in += p.octets;
		}
		EXPECT(ln.user_count <= linubia_max_users);
		EXPECT((unsigned int)ln.flow_count.counter <=
		       linubia_max_flows);
	}
	stub_fail = 0;
	EXPECT(all_octets(&ln) == in);
	to_flows = ended_octets + flow_octets();
	EXPECT(to_flows <= in);
	linubia_flows_exit();
	EXPECT(ended_octets == to_flows);
	EXPECT(ln.flow_count.counter == 0);
	linubia_accounts_exit(&ln);
	EXPECT(stub_held == 0);
}

/* Headers of any content, cut anywhere: nothing is read beyond them. */
static void any_packet(const u8 *octets, size_t n)
{
	struct linubia_packet p;
	struct sk_buff skb = { };
	u8 family;
	u8 *copy;

	if (n < 4)
		return;
	family = octets[0] & 1;
	skb.shared.gso_size = octets[1] | octets[2] << 8;
	skb.shared.gso_type = octets[0] & 2 ? SKB_GSO_TCPV4 : 0;
	skb.encapsulation = octets[0] & 4;
	skb.inner_transport = octets[3];
	octets += 4;
	n -= 4;
	/* The kernel has looked at the fixed header before any hook. */
	if (n < (family == LINUBIA_IPV4 ? 20 : 40))
		return;
	copy = malloc(n);
	memcpy(copy, octets, n);
	skb.data = copy;
	skb.len = n;
	if (linubia_dissect(&skb, family, &p)) {
		EXPECT(p.class < LINUBIA_PROTOCOLS);
		skb.transport = p.offset;
		linubia_count_segments(&skb, &p);
		EXPECT(p.packets >= 1 && p.octets >= n);
		EXPECT(p.octets - p.merged_octets == n);
		EXPECT(p.packets - p.merged == 1);
	}
	p.packets = 1;
	p.octets = n;
	linubia_count_fragments(&p, family == LINUBIA_IPV4 ? 20 : 40,
				octets[0] | octets[1] << 8);
	EXPECT(p.packets >= 1);
	free(copy);
}

#ifdef FUZZ
int LLVMFuzzerTestOneInput(const u8 *octets, size_t n)
{
	if (n && octets[0] & 1)
		anything(octets + 1, n - 1);
	else if (n)
		any_packet(octets + 1, n - 1);
	return 0;
}
#else
static struct linubia_net ln;

static void begin(void)
{
	memset(&ln, 0, sizeof(ln));
	EXPECT(linubia_flows_init() == 0);
	EXPECT(linubia_accounts_init(&ln) == 0);
	ended = going_on = captured = 0;
}

static void end(void)
{
	linubia_flows_exit();
	linubia_accounts_exit(&ln);
	EXPECT(stub_held == 0);
}

static bool packet(unsigned int flow, u8 row, unsigned int uid, bool listener,
		   bool opening)
{
	struct linubia_key key = key_of(&ln, flow);
	struct linubia_packet p = {
		.class = LINUBIA_TCP, .packets = 1, .octets = 100,
	};
	struct linubia_owner owner = {
		.row = row, .uid = { uid }, .listener = listener,
		.opening = opening,
	};
	bool remembered = linubia_flow_packet(&ln, &key, &p, &owner, 0, 1);

	linubia_account(&ln, &p, &owner, 0);
	return remembered;
}

static struct linubia_flow *flow_of(unsigned int n)
{
	struct linubia_key key = key_of(&ln, n);

	return linubia_flow_find(&key);
}

static u64 octets_of(unsigned int uid)
{
	struct linubia_account *account;
	struct linubia_counters sum;

	hlist_for_each_entry(account, linubia_user_slot(&ln, (kuid_t){ uid }),
			     node)
		if (account->uid.val == uid) {
			linubia_sum(account, &sum);
			return sum.cell[0][LINUBIA_TCP][0].octets;
		}
	return 0;
}

static void listener_gives_way(void)
{
	begin();
	packet(1, LINUBIA_ROW_USER, 0, true, true);
	EXPECT(flow_of(1)->flags & LINUBIA_FLOW_LISTENER);
	packet(1, LINUBIA_ROW_USER, 5, false, false);
	EXPECT(flow_of(1)->uid.val == 5 && ended == 0);
	EXPECT(!(flow_of(1)->flags & LINUBIA_FLOW_LISTENER));
	/* A stray segment finds the listener; the connection was another's. */
	packet(1, LINUBIA_ROW_USER, 0, true, false);
	EXPECT(flow_of(1)->uid.val == 5 && octets_of(5) == 200);
	/* A new connection with the same ports is the listener's again. */
	packet(1, LINUBIA_ROW_USER, 0, true, true);
	EXPECT(flow_of(1)->uid.val == 0 && ended == 1);
	EXPECT(octets_of(0) == 200);
	end();
}

static void closed_connections_are_remembered(void)
{
	begin();
	EXPECT(!packet(2, LINUBIA_ROW_CLOSING, 0, false, false));
	EXPECT(!flow_of(2));
	packet(2, LINUBIA_ROW_USER, 7, false, false);
	EXPECT(packet(2, LINUBIA_ROW_CLOSING, 0, false, false));
	EXPECT(octets_of(7) == 200);
	end();
}

static void table_is_bounded(void)
{
	u64 stats[LINUBIA_STATS];
	unsigned int i;

	begin();
	for (i = 0; i < 20; i++)
		packet(i, LINUBIA_ROW_USER, i, false, false);
	linubia_stats_sum(&ln, stats);
	EXPECT(stats[LINUBIA_STAT_FLOWS] == linubia_max_flows);
	EXPECT(stats[LINUBIA_STAT_FLOWS_FULL] == 20 - linubia_max_flows);
	EXPECT(stats[LINUBIA_STAT_USERS] == linubia_max_users);
	EXPECT(stats[LINUBIA_STAT_USERS_FULL] == 20 - linubia_max_users);
	EXPECT(all_octets(&ln) == 2000);
	end();
}

static void flows_end_and_go_on(void)
{
	unsigned int i;

	begin();
	packet(3, LINUBIA_ROW_USER, 1, false, false);
	packet(4, LINUBIA_ROW_USER, 1, false, false);
	for (i = 0; i < 35; i++) {
		stub_jiffies += HZ;
		packet(4, LINUBIA_ROW_USER, 1, false, false);
		linubia_flow_collect(0, linubia_flow_slots());
	}
	EXPECT(!flow_of(3) && ended == 1);
	EXPECT(flow_of(4) && going_on == 1);
	end();
}

static void counters_only_grow(void)
{
	struct linubia_account *row = &ln.rows[LINUBIA_ROW_KERNEL];
	struct linubia_counters first, second;

	begin();
	packet(5, LINUBIA_ROW_KERNEL, 0, false, false);
	linubia_sum(row, &first);
	row->base = first;
	packet(5, LINUBIA_ROW_KERNEL, 0, false, false);
	linubia_sum(row, &second);
	EXPECT(second.cell[0][0][0].octets == 200);
	linubia_subtract(&second, &row->base);
	EXPECT(second.cell[0][0][0].octets == 100);
	EXPECT(second.cell[0][0][0].packets == 1);
	end();
}

static void segments_and_fragments(void)
{
	u8 octets[9528] = { 0x45 };
	struct sk_buff skb = { .data = octets, .len = 9528, .transport = 20 };
	struct linubia_packet p;

	octets[9] = IPPROTO_UDP;
	skb.shared.gso_size = 1000;
	EXPECT(linubia_dissect(&skb, LINUBIA_IPV4, &p));
	linubia_count_segments(&skb, &p);
	EXPECT(p.packets == 10 && p.octets == 9500 + 10 * 28);
	EXPECT(p.merged == 9 && p.merged_octets == 9 * 28);
	EXPECT(linubia_dissect(&skb, LINUBIA_IPV4, &p));
	p.octets = 5028;
	linubia_count_fragments(&p, 20, 1500);
	EXPECT(p.packets == 4 && p.octets == 5028 + 3 * 20);
	p.family = LINUBIA_IPV6;
	p.octets = 5048;
	linubia_count_fragments(&p, 40, 1500);
	EXPECT(p.packets == 4 && p.octets == 5008 + 4 * 48);
	/* What fits is one. */
	p.family = LINUBIA_IPV4;
	p.octets = 1500;
	linubia_count_fragments(&p, 20, 1500);
	EXPECT(p.packets == 1 && p.octets == 1500);
}

int main(void)
{
	unsigned int seed, i;

	listener_gives_way();
	closed_connections_are_remembered();
	table_is_bounded();
	flows_end_and_go_on();
	counters_only_grow();
	segments_and_fragments();
	/* The same as the fuzzer does, on numbers anyone gets again. */
	for (seed = 1; seed <= 3000; seed++) {
		u8 octets[400];
		u32 state = seed;

		for (i = 0; i < sizeof(octets); i++) {
			state = state * 1664525 + 1013904223;
			octets[i] = state >> 24;
		}
		anything(octets, sizeof(octets));
		octets[4] = octets[4] & 1 ? 0x45 : 0x60;
		any_packet(octets, 4 + seed % 396);
	}
	puts("as it should be");
	return 0;
}
#endif
