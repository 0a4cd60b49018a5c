// SPDX-License-Identifier: GPL-2.0
/*
 * Traffic of many users for the tests of the module, and who owns which port.
 *
 *   traffic cases     every case once; prints a line of JSON for each socket
 *   traffic loopback  those of them that need no other host
 *   traffic million N balance of interfaces after N packets of mixed traffic
 *   traffic brief N   N processes that send once and end
 *   traffic blast N   N datagrams over loopback, each sent and received
 *   traffic fuzz N    N malformed netlink messages
 *   traffic segments  offloaded packets
 *   traffic timewait  a segment for a connection that is in TIME_WAIT
 *   traffic stream S  datagrams for S seconds, for tests of loading and unloading
 *
 * A socket belongs to whose file system uid made it, so one process is enough
 * for most cases. Every user has ports of his own, and whoever captures the
 * packets can tell by them what each user's counters have to be.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../uapi/linubia.h"

#define UDP_SEGMENT_OPTION 103

static void die(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int check(int result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

/* --- Hosts: this network namespace and the one called box. --- */

static int home_fd, box_fd;

static void find_hosts(void)
{
	home_fd = check(open("/proc/self/ns/net", O_RDONLY), "own namespace");
	box_fd = check(open("/run/netns/box", O_RDONLY), "namespace box");
}

static void go_to(int fd)
{
	check(setns(fd, CLONE_NEWNET), "setns");
}

/* --- Sockets of a user. --- */

static int open_as(unsigned int uid, int family, int type, int protocol)
{
	int fd;

	setfsuid(uid);
	fd = socket(family == 4 ? AF_INET : AF_INET6, type, protocol);
	setfsuid(0);
	return check(fd, "socket");
}

static socklen_t make_address(struct sockaddr_storage *to, int family,
			      const char *text, int port)
{
	memset(to, 0, sizeof(*to));
	if (family == 4) {
		struct sockaddr_in *in = (void *)to;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		check(inet_pton(AF_INET, text, &in->sin_addr) - 1, text);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (void *)to;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	check(inet_pton(AF_INET6, text, &in6->sin6_addr) - 1, text);
	return sizeof(*in6);
}

static void bind_to(int fd, int family, const char *text, int port)
{
	struct sockaddr_storage address;
	socklen_t length = make_address(&address, family, text, port);
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	check(bind(fd, (void *)&address, length), "bind");
}

static void connect_to(int fd, int family, const char *text, int port)
{
	struct sockaddr_storage address;
	socklen_t length = make_address(&address, family, text, port);

	check(connect(fd, (void *)&address, length), "connect");
}

static void send_to(int fd, int family, const char *text, int port,
		    const void *data, size_t octets)
{
	struct sockaddr_storage address;
	socklen_t length = make_address(&address, family, text, port);

	check(sendto(fd, data, octets, 0, (void *)&address, length), "sendto");
}

static const char *loopback(int family)
{
	return family == 4 ? "127.0.0.1" : "::1";
}

static const char *home(int family)
{
	return family == 4 ? "10.9.0.1" : "fd09::1";
}

static const char *box(int family)
{
	return family == 4 ? "10.9.0.2" : "fd09::2";
}

static char data[1 << 17];

/* Receives until this much has come; waits at most 20 s for each part. */
static void receive(int fd, size_t octets)
{
	struct timeval limit = { .tv_sec = 20 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	while (octets > 0) {
		static char into[1 << 17];
		size_t want = octets < sizeof(into) ? octets : sizeof(into);
		ssize_t n = recv(fd, into, want, 0);

		if (n <= 0)
			die("nothing came");
		octets -= n;
	}
}

static void send_all(int fd, size_t octets)
{
	while (octets > 0) {
		size_t part = octets < sizeof(data) ? octets : sizeof(data);

		octets -= check(send(fd, data, part, MSG_NOSIGNAL), "send");
	}
}

/* Tells the reader whose packets with this port are; several uids share them. */
static void owns(const char *host, int protocol, int port, const char *side,
		 const char *how, int n, ...)
{
	va_list uids;

	printf("{\"host\":\"%s\",\"protocol\":%d,\"port\":%d,\"side\":\"%s\",\"how\":\"%s\",\"uids\":[",
	       host, protocol, port, side, how);
	va_start(uids, n);
	for (int i = 0; i < n; i++)
		printf("%s\"%u\"", i ? "," : "", va_arg(uids, unsigned int));
	va_end(uids);
	printf("]}\n");
	fflush(stdout);
}

static void owns_port(const char *host, int protocol, int port,
		      unsigned int uid)
{
	owns(host, protocol, port, "both", "one", 1, uid);
}

/* --- Cases. Users have ports 20000 + something of theirs. --- */

static void udp_case(int family, const char *at, const char *host,
		     const char *peer, unsigned int from, unsigned int to,
		     int port, int n, size_t octets)
{
	bool away = strcmp(host, peer) != 0;
	int receiver, sender;

	if (away)
		go_to(box_fd);
	receiver = open_as(to, family, SOCK_DGRAM, 0);
	bind_to(receiver, family, at, port + 1);
	if (away)
		go_to(home_fd);
	sender = open_as(from, family, SOCK_DGRAM, 0);
	bind_to(sender, family, away ? home(family) : loopback(family), port);
	owns_port(host, IPPROTO_UDP, port, from);
	owns_port(peer, IPPROTO_UDP, port + 1, to);
	for (int i = 0; i < n; i++) {
		send_to(sender, family, at, port + 1, data, octets);
		receive(receiver, octets);
	}
	close(sender);
	close(receiver);
}

struct pair {
	int listener;
	int client;
	int server;
};

/* A connection; the server's socket is accepted later by accept_as(). */
static struct pair tcp_open(int family, const char *host, const char *peer,
			    unsigned int from, unsigned int to, int port)
{
	bool away = strcmp(host, peer) != 0;
	const char *at = away ? box(family) : loopback(family);
	struct pair pair = { .server = -1 };

	if (away)
		go_to(box_fd);
	pair.listener = open_as(to, family, SOCK_STREAM, 0);
	bind_to(pair.listener, family, at, port + 1);
	check(listen(pair.listener, 8), "listen");
	if (away)
		go_to(home_fd);
	pair.client = open_as(from, family, SOCK_STREAM, 0);
	bind_to(pair.client, family, away ? home(family) : loopback(family),
		port);
	connect_to(pair.client, family, at, port + 1);
	return pair;
}

static void accept_as(struct pair *pair, unsigned int uid)
{
	setfsuid(uid);
	pair->server = accept(pair->listener, NULL, NULL);
	setfsuid(0);
	check(pair->server, "accept");
}

/* Both ends close, the client first, and have seen each other do it. */
static void tcp_close(struct pair *pair)
{
	shutdown(pair->client, SHUT_WR);
	receive(pair->server, 0);
	if (recv(pair->server, data, 1, 0) != 0)
		die("no end of stream at the server");
	close(pair->server);
	if (recv(pair->client, data, 1, 0) != 0)
		die("no end of stream at the client");
	close(pair->client);
	close(pair->listener);
}

static void tcp_case(int family, const char *host, const char *peer,
		     unsigned int from, unsigned int to, int port,
		     size_t there, size_t back)
{
	struct pair pair = tcp_open(family, host, peer, from, to, port);

	owns_port(host, IPPROTO_TCP, port, from);
	owns_port(peer, IPPROTO_TCP, port + 1, to);
	accept_as(&pair, to);
	for (size_t done = 0; done < there; done += 30000) {
		size_t part = there - done < 30000 ? there - done : 30000;

		send_all(pair.client, part);
		receive(pair.server, part);
	}
	for (size_t done = 0; done < back; done += 30000) {
		size_t part = back - done < 30000 ? back - done : 30000;

		send_all(pair.server, part);
		receive(pair.client, part);
	}
	tcp_close(&pair);
}

/* The sender is gone while most of what it wrote still has to go out. */
static void exits_at_once(int family, int port)
{
	const size_t octets = 100000;
	int small = 8192, big = 1 << 20;
	int listener = open_as(2011, family, SOCK_STREAM, 0);
	int server, status;
	pid_t child;

	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	bind_to(listener, family, loopback(family), port + 1);
	check(listen(listener, 1), "listen");
	owns_port("home", IPPROTO_TCP, port, 2010);
	owns_port("home", IPPROTO_TCP, port + 1, 2011);
	child = fork();
	if (child == 0) {
		int fd;

		check(setuid(2010), "setuid");
		fd = check(socket(family == 4 ? AF_INET : AF_INET6,
				  SOCK_STREAM, 0), "socket");
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
		bind_to(fd, family, loopback(family), port);
		connect_to(fd, family, loopback(family), port + 1);
		send_all(fd, octets);
		_exit(0);
	}
	check(waitpid(child, &status, 0), "waitpid");
	if (status != 0)
		die("the sender failed");
	setfsuid(2011);
	server = check(accept(listener, NULL, NULL), "accept");
	setfsuid(0);
	receive(server, octets);
	if (recv(server, data, 1, 0) != 0)
		die("no end of stream");
	close(server);
	close(listener);
}

/* Root listens and becomes somebody, who accepts. */
static void drops_root(int family, int port)
{
	struct pair pair = tcp_open(family, "home", "home", 2020, 0, port);

	owns_port("home", IPPROTO_TCP, port, 2020);
	owns("home", IPPROTO_TCP, port + 1, "both", "group", 2, 0, 2021);
	accept_as(&pair, 2021);
	send_all(pair.client, 20000);
	receive(pair.server, 20000);
	tcp_close(&pair);
}

/* Until the peer's system has all that was sent. */
static void arrived(int fd)
{
	int left;

	do {
		check(ioctl(fd, SIOCOUTQ, &left), "SIOCOUTQ");
		if (left > 0)
			usleep(1000);
	} while (left > 0);
}

/* Data arrives while the connection is nobody's but the listener's. */
static void before_accept(int family, int port)
{
	struct pair pair = tcp_open(family, "home", "home", 2030, 2031, port);

	owns_port("home", IPPROTO_TCP, port, 2030);
	owns("home", IPPROTO_TCP, port + 1, "both", "group", 2, 2031, 2032);
	send_all(pair.client, 10000);
	arrived(pair.client);
	accept_as(&pair, 2032);
	receive(pair.server, 10000);
	send_all(pair.server, 5000);
	receive(pair.client, 5000);
	tcp_close(&pair);
}

/* The socket is passed to another user's process, which sends on it. */
static void passes_socket(int port)
{
	int channel[2], fd, status;
	char control[CMSG_SPACE(sizeof(int))], octet = 0;
	struct iovec iov = { &octet, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int receiver = open_as(2042, 4, SOCK_DGRAM, 0);
	struct cmsghdr *header;
	pid_t child;

	bind_to(receiver, 4, loopback(4), port + 1);
	owns_port("home", IPPROTO_UDP, port, 2040);
	owns_port("home", IPPROTO_UDP, port + 1, 2042);
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, channel), "socketpair");
	child = fork();
	if (child == 0) {
		check(setuid(2041), "setuid");
		check(recvmsg(channel[1], &message, 0), "recvmsg");
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
		for (int i = 0; i < 20; i++)
			send_to(fd, 4, loopback(4), port + 1, data, 300);
		_exit(0);
	}
	fd = open_as(2040, 4, SOCK_DGRAM, 0);
	bind_to(fd, 4, loopback(4), port);
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	check(sendmsg(channel[0], &message, 0), "sendmsg");
	check(waitpid(child, &status, 0), "waitpid");
	if (status != 0)
		die("the other process failed");
	for (int i = 0; i < 20; i++)
		receive(receiver, 300);
	close(fd);
	close(receiver);
}

/* A program that is another user's and has its set-uid bit. */
static void setuid_program(const char *self, int port)
{
	const char *path = "/run/linubia-setuid";
	int receiver = open_as(2052, 4, SOCK_DGRAM, 0);
	char command[256], number[16];
	int status;
	pid_t child;

	bind_to(receiver, 4, loopback(4), port + 1);
	owns_port("home", IPPROTO_UDP, port, 2051);
	owns_port("home", IPPROTO_UDP, port + 1, 2052);
	snprintf(command, sizeof(command),
		 "cp %s %s && chown 2051 %s && chmod 4755 %s", self, path, path,
		 path);
	if (system(command) != 0)
		die("copy");
	snprintf(number, sizeof(number), "%d", port);
	child = fork();
	if (child == 0) {
		check(setuid(2050), "setuid");
		execl(path, "traffic", "once", number, NULL);
		_exit(1);
	}
	check(waitpid(child, &status, 0), "waitpid");
	if (status != 0)
		die("the program failed");
	receive(receiver, 400);
	close(receiver);
}

static void reuseport(int family, int port)
{
	int on = 1, receivers[4], sender;

	for (int i = 0; i < 4; i++) {
		receivers[i] = open_as(2060, family, SOCK_DGRAM, 0);
		setsockopt(receivers[i], SOL_SOCKET, SO_REUSEPORT, &on,
			   sizeof(on));
		bind_to(receivers[i], family, loopback(family), port + 1);
	}
	owns_port("home", IPPROTO_UDP, port + 1, 2060);
	for (int i = 0; i < 40; i++) {
		sender = open_as(2061, family, SOCK_DGRAM, 0);
		bind_to(sender, family, loopback(family), port + 10 + i);
		owns_port("home", IPPROTO_UDP, port + 10 + i, 2061);
		send_to(sender, family, loopback(family), port + 1, data, 100);
		close(sender);
	}
	for (int i = 0; i < 4; i++)
		close(receivers[i]);
}

/* Three users listen to one group, one of them twice. */
static void multicast(int family, int port)
{
	static const unsigned int uids[] = { 2071, 2072, 2073, 2073 };
	const char *group = family == 4 ? "239.9.9.9" : "ff15::99";
	int on = 1, receivers[4], sender;

	for (int i = 0; i < 4; i++) {
		receivers[i] = open_as(uids[i], family, SOCK_DGRAM, 0);
		bind_to(receivers[i], family, group, port + 1);
		if (family == 4) {
			struct ip_mreqn wish = {
				.imr_ifindex = if_nametoindex("v0"),
			};

			inet_pton(AF_INET, group, &wish.imr_multiaddr);
			check(setsockopt(receivers[i], IPPROTO_IP,
					 IP_ADD_MEMBERSHIP, &wish,
					 sizeof(wish)), "join");
		} else {
			struct ipv6_mreq wish = {
				.ipv6mr_interface = if_nametoindex("v0"),
			};

			inet_pton(AF_INET6, group, &wish.ipv6mr_multiaddr);
			check(setsockopt(receivers[i], IPPROTO_IPV6,
					 IPV6_JOIN_GROUP, &wish, sizeof(wish)),
			      "join");
		}
	}
	/* Sent by the box, and by this host, which hears itself. */
	owns("home", IPPROTO_UDP, port + 1, "both", "each", 3, 2071, 2072,
	     2073);
	owns_port("box", IPPROTO_UDP, port, 2070);
	owns_port("home", IPPROTO_UDP, port + 2, 2074);
	for (int host = 0; host < 2; host++) {
		if (host == 0)
			go_to(box_fd);
		sender = open_as(host ? 2074 : 2070, family, SOCK_DGRAM, 0);
		bind_to(sender, family, host ? home(family) : box(family),
			host ? port + 2 : port);
		if (family == 4) {
			struct ip_mreqn by = {
				.imr_ifindex = if_nametoindex(host ? "v0" :
								     "v1"),
			};

			check(setsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF,
					 &by, sizeof(by)), "IP_MULTICAST_IF");
		} else {
			int by = if_nametoindex(host ? "v0" : "v1");

			check(setsockopt(sender, IPPROTO_IPV6,
					 IPV6_MULTICAST_IF, &by, sizeof(by)),
			      "IPV6_MULTICAST_IF");
		}
		if (host == 0)
			go_to(home_fd);
		for (int i = 0; i < 15; i++)
			send_to(sender, family, group, port + 1, data, 200);
		close(sender);
		for (int i = 0; i < 4; i++)
			receive(receivers[i], 15 * 200);
	}
	(void)on;
	for (int i = 0; i < 4; i++)
		close(receivers[i]);
}

static unsigned short icmp_sum(const void *of, size_t octets)
{
	const unsigned short *word = of;
	unsigned int sum = 0;

	for (size_t i = 0; i < octets / 2; i++)
		sum += word[i];
	sum = (sum >> 16) + (sum & 0xffff);
	return ~(sum + (sum >> 16));
}

/* Echo requests by a ping socket and by a raw one. */
static void ping(int family, unsigned int uid, int id, bool raw,
		 const char *to, size_t octets)
{
	int protocol = family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	int fd = open_as(uid, family, raw ? SOCK_RAW : SOCK_DGRAM, protocol);
	struct icmphdr *echo = (void *)data;
	ssize_t n;

	if (!raw)
		bind_to(fd, family, family == 4 ? "0.0.0.0" : "::", id);
	owns("home", protocol, id, "both", "one", 1, uid);
	for (int i = 0; i < 10; i++) {
		memset(echo, 0, sizeof(*echo));
		echo->type = family == 4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
		echo->un.echo.id = htons(id);
		echo->un.echo.sequence = htons(i);
		if (family == 4)
			echo->checksum = icmp_sum(data, octets);
		send_to(fd, family, to, 0, data, octets);
		do {
			static unsigned char into[1 << 17];
			struct timeval limit = { .tv_sec = 20 };
			size_t at = raw && family == 4 ? 20 : 0;

			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit,
				   sizeof(limit));
			n = recv(fd, into, sizeof(into), 0);
			if (n <= 0)
				die("no answer");
			/* A raw socket also sees what others ask. */
			if (into[at] == (family == 4 ? ICMP_ECHOREPLY :
						       ICMP6_ECHO_REPLY))
				break;
		} while (true);
	}
	memset(data, 0, sizeof(*echo));
	close(fd);
}

/* To a port that nobody listens on: an error comes back, or a reset. */
static void refused(int family, int port)
{
	int fd = open_as(2080, family, SOCK_DGRAM, 0);
	struct sockaddr_storage address;
	socklen_t length;

	bind_to(fd, family, loopback(family), port);
	connect_to(fd, family, loopback(family), port + 1);
	owns_port("home", IPPROTO_UDP, port, 2080);
	for (int i = 0; i < 5; i++) {
		send(fd, data, 100, 0);
		if (recv(fd, data, 100, 0) >= 0 || errno != ECONNREFUSED)
			die("not refused");
	}
	close(fd);
	fd = open_as(2081, family, SOCK_STREAM, 0);
	bind_to(fd, family, loopback(family), port);
	owns_port("home", IPPROTO_TCP, port, 2081);
	length = make_address(&address, family, loopback(family), port + 1);
	if (connect(fd, (void *)&address, length) == 0 || errno != ECONNREFUSED)
		die("not refused");
	close(fd);
}

/* A protocol without ports, from and to raw sockets of two users. */
static void raw_sockets(int family)
{
	int protocol = family == 4 ? 253 : 252;
	int receiver = open_as(2091, family, SOCK_RAW, protocol);
	int sender = open_as(2090, family, SOCK_RAW, protocol);

	/* Where both have one address, the sender's takes its packets too. */
	connect_to(sender, family, family == 4 ? "127.0.0.2" : "::1", 0);
	if (family == 4)
		bind_to(receiver, family, "127.0.0.2", 0);
	owns("home", protocol, 0, "source", "one", 1, 2090);
	owns("home", protocol, 0, "dest", family == 4 ? "one" : "each",
	     family == 4 ? 1 : 2, 2091, 2090);
	for (int i = 0; i < 12; i++)
		check(send(sender, data, 150, 0), "send");
	receive(receiver, 12 * (family == 4 ? 170 : 150));
	close(sender);
	close(receiver);
}

/* A segment of a connection that both ends have closed: TIME_WAIT answers. */
static void time_wait(int port)
{
	struct pair pair = tcp_open(4, "home", "home", 2100, 2101, port);
	int raw = open_as(2102, 4, SOCK_RAW, IPPROTO_TCP);
	struct {
		struct in_addr source, dest;
		unsigned char zero, protocol;
		unsigned short length;
		struct tcphdr tcp;
	} segment = { .protocol = IPPROTO_TCP };

	owns_port("home", IPPROTO_TCP, port, 2100);
	owns("home", IPPROTO_TCP, port + 1, "both", "one", 1, 2101);
	accept_as(&pair, 2101);
	tcp_close(&pair);
	/* The client closed first, so it is the one that waits. */
	inet_pton(AF_INET, "127.0.0.1", &segment.source);
	segment.dest = segment.source;
	segment.length = htons(sizeof(segment.tcp));
	segment.tcp.source = htons(port + 1);
	segment.tcp.dest = htons(port);
	segment.tcp.doff = 5;
	segment.tcp.ack = 1;
	segment.tcp.fin = 1;
	segment.tcp.check = icmp_sum(&segment, sizeof(segment));
	printf("{\"stray\":%d,\"octets\":40,\"uid\":\"2102\"}\n", port + 1);
	send_to(raw, 4, loopback(4), 0, &segment.tcp, sizeof(segment.tcp));
	close(raw);
}

/* Frames that a packet socket sends pass no hook of IP: no user's. */
static void packet_sockets(void)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP),
		.sll_halen = 6,
	};
	struct iphdr ip = {
		.version = 4, .ihl = 5, .ttl = 1, .protocol = 254,
		.tot_len = htons(sizeof(ip)),
	};
	int fd;

	setfsuid(2110);
	fd = check(socket(AF_PACKET, SOCK_DGRAM, 0), "packet socket");
	setfsuid(0);
	inet_pton(AF_INET, "10.9.0.1", &ip.saddr);
	inet_pton(AF_INET, "10.9.0.2", &ip.daddr);
	ip.check = icmp_sum(&ip, sizeof(ip));
	to.sll_ifindex = if_nametoindex("v0");
	memset(to.sll_addr, 0xff, 6);
	for (int i = 0; i < 4; i++)
		check(sendto(fd, &ip, sizeof(ip), 0, (void *)&to, sizeof(to)),
		      "packet");
	printf("{\"bypass\":254,\"packets\":4}\n");
	close(fd);
}

static void cases(const char *self)
{
	int port = 20000;

	find_hosts();
	for (int family = 4; family <= 6; family += 2) {
		udp_case(family, loopback(family), "home", "home", 2001, 2002,
			 port, 100, 100);
		udp_case(family, box(family), "home", "box", 2003, 2004,
			 port + 2, 50, 700);
		tcp_case(family, "home", "home", 2005, 2006, port + 4, 300000,
			 90000);
		tcp_case(family, "home", "box", 2007, 2008, port + 6, 200000,
			 60000);
		/* In pieces, both ways. */
		udp_case(family, box(family), "home", "box", 2012, 2013,
			 port + 8, 10, 5000);
		go_to(box_fd);
		go_to(home_fd);
		ping(family, 2014, port + 10, false, box(family), 4000);
		ping(family, 2015, port + 11, false, loopback(family), 100);
		ping(family, 2016, port + 12, true, box(family), 100);
		exits_at_once(family, port + 14);
		drops_root(family, port + 16);
		before_accept(family, port + 18);
		reuseport(family, port + 20);
		multicast(family, port + 90);
		refused(family, port + 94);
		raw_sockets(family);
		/* Twenty users of one address at once. */
		for (int i = 0; i < 20; i++) {
			udp_case(family, loopback(family), "home", "home",
				 2200 + i, 2250, port + 100 + 4 * i, 5,
				 50 + i);
			tcp_case(family, "home", "home", 2200 + i, 2251,
				 port + 102 + 4 * i, 2000 + i, 1000);
		}
		port += 1000;
	}
	passes_socket(port);
	setuid_program(self, port + 2);
	time_wait(port + 4);
	packet_sockets();
}

/* What needs no other host. */
static void loopback_cases(void)
{
	int port = 20000;

	for (int family = 4; family <= 6; family += 2) {
		udp_case(family, loopback(family), "home", "home", 2001, 2002,
			 port, 100, 100);
		tcp_case(family, "home", "home", 2005, 2006, port + 4, 300000,
			 90000);
		exits_at_once(family, port + 14);
		reuseport(family, port + 20);
		for (int i = 0; i < 20; i++) {
			udp_case(family, loopback(family), "home", "home",
				 2200 + i, 2250, port + 100 + 4 * i, 5,
				 50 + i);
			tcp_case(family, "home", "home", 2200 + i, 2251,
				 port + 102 + 4 * i, 2000 + i, 1000);
		}
		port += 1000;
	}
}

/* --- What the module says. --- */

struct table {
	uint64_t in[2], out[2], copies[2], looped[2];
};

static unsigned long long word(char **at)
{
	char *next = strtok_r(NULL, " \n", at);

	return next ? strtoull(next, NULL, 10) : 0;
}

/* Octets of all rows, less copies, and packets. */
static struct table all_rows(void)
{
	static const char *const files[] = { "users4", "users6" };
	struct table sum = { };
	char path[64], line[1024];

	for (int f = 0; f < 2; f++) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/thread-self/net/linubia/%s",
			 files[f]);
		file = fopen(path, "r");
		if (!file || !fgets(line, sizeof(line), file))
			die(path);
		while (fgets(line, sizeof(line), file)) {
			char *at;
			bool copies = !strncmp(line, "copies", 6);
			uint64_t sign = copies ? -1 : 1;

			strtok_r(line, " \n", &at);
			strtok_r(NULL, " \n", &at);
			for (int class = 0; class < 4; class++) {
				sum.in[0] += sign * word(&at);
				sum.in[1] += sign * word(&at);
				sum.out[0] += sign * word(&at);
				sum.out[1] += sign * word(&at);
			}
		}
		fclose(file);
	}
	return sum;
}

/* Packets and octets of IP that an interface counted. */
static struct table interface_counters(void)
{
	FILE *file = fopen("/proc/thread-self/net/dev", "r");
	struct table sum = { };
	char line[512];

	if (!file)
		die("/proc/net/dev");
	while (fgets(line, sizeof(line), file)) {
		unsigned long long v[10], frame;
		char *colon = strchr(line, ':');

		if (!colon || sscanf(colon + 1,
				     "%llu %llu %llu %llu %llu %llu %llu %llu %llu %llu",
				     &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
				     &v[6], &v[7], &v[8], &v[9]) != 10)
			continue;
		/* Ethernet's octets in front; loopback does not count them. */
		frame = strstr(line, "lo:") ? 0 : 14;
		sum.in[0] += v[1];
		sum.in[1] += v[0] - frame * v[1];
		sum.out[0] += v[9];
		sum.out[1] += v[8] - frame * v[9];
	}
	fclose(file);
	return sum;
}

static void ethtool_set(const char *name, unsigned int command, int value)
{
	struct ethtool_value wish = { .cmd = command, .data = value };
	struct ifreq request = { .ifr_data = (void *)&wish };
	int fd = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	check(ioctl(fd, SIOCETHTOOL, &request), name);
	close(fd);
}

/* Mixed traffic until so many packets have gone; the sums have to be equal. */
static int million(unsigned long packets)
{
	struct table rows[2], wire[2];
	struct mmsghdr batch[64] = { };
	struct iovec iov[64];
	int sender[4], receiver[4];
	unsigned long sent = 0;
	long difference[4] = { };

	find_hosts();
	for (int i = 0; i < 4; i++) {
		int family = i & 1 ? 6 : 4, big = 1 << 22;
		const char *at = i & 2 ? box(family) : loopback(family);

		if (i & 2)
			go_to(box_fd);
		receiver[i] = open_as(3001 + i, family, SOCK_DGRAM, 0);
		setsockopt(receiver[i], SOL_SOCKET, SO_RCVBUFFORCE, &big,
			   sizeof(big));
		bind_to(receiver[i], family, at, 30000 + i);
		go_to(home_fd);
		sender[i] = open_as(3011 + i, family, SOCK_DGRAM, 0);
		connect_to(sender[i], family, at, 30000 + i);
	}
	for (int i = 0; i < 64; i++) {
		iov[i] = (struct iovec){ data, 20 + 11 * i };
		batch[i].msg_hdr.msg_iov = &iov[i];
		batch[i].msg_hdr.msg_iovlen = 1;
	}
	rows[0] = all_rows();
	wire[0] = interface_counters();
	for (int round = 0; sent < packets; round++) {
		/* Every eighth turn goes over the cable. */
		int which = (round & 1) | (round % 8 == 7 ? 2 : 0);
		int n = check(sendmmsg(sender[which], batch, 64, 0),
			      "sendmmsg");

		sent += which & 2 ? n : 2 * n;
		while (recvmmsg(receiver[which], batch, 64, MSG_DONTWAIT,
				NULL) > 0)
			;
		for (int i = 0; i < 64; i++)
			iov[i].iov_len = 20 + 11 * i;
		if (round % 512 == 0)
			tcp_case(round & 512 ? 6 : 4, "home",
				 round & 1024 ? "box" : "home", 3021, 3022,
				 31000 + 2 * (round / 512 % 4000), 60000, 60000);
	}
	/* What is under way has arrived when the sums stand still. */
	for (int tries = 0; tries < 100; tries++) {
		usleep(20000);
		wire[1] = interface_counters();
		rows[1] = all_rows();
		difference[0] = (rows[1].in[0] - rows[0].in[0]) -
				(wire[1].in[0] - wire[0].in[0]);
		difference[1] = (rows[1].in[1] - rows[0].in[1]) -
				(wire[1].in[1] - wire[0].in[1]);
		difference[2] = (rows[1].out[0] - rows[0].out[0]) -
				(wire[1].out[0] - wire[0].out[0]);
		difference[3] = (rows[1].out[1] - rows[0].out[1]) -
				(wire[1].out[1] - wire[0].out[1]);
		if (!difference[0] && !difference[1] && !difference[2] &&
		    !difference[3])
			break;
	}
	printf("{\"packets\":%llu,\"octets\":%llu,\"difference\":[%ld,%ld,%ld,%ld]}\n",
	       (unsigned long long)(rows[1].in[0] - rows[0].in[0] +
				    rows[1].out[0] - rows[0].out[0]),
	       (unsigned long long)(rows[1].in[1] - rows[0].in[1] +
				    rows[1].out[1] - rows[0].out[1]),
	       difference[0], difference[1], difference[2], difference[3]);
	return 0;
}

/* Processes that send one datagram and are gone; prints who they were. */
static int brief(int n)
{
	int receiver = open_as(4000, 4, SOCK_DGRAM, 0), big = 1 << 22;

	setsockopt(receiver, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	bind_to(receiver, 4, loopback(4), 40000);
	for (int i = 0; i < n; i++) {
		pid_t child = vfork();

		if (child == 0) {
			int fd = open_as(4001 + i % 50, 4, SOCK_DGRAM, 0);

			bind_to(fd, 4, loopback(4), 41000 + i);
			send_to(fd, 4, loopback(4), 40000, data, 100);
			_exit(0);
		}
		check(child, "fork");
		check(waitpid(child, NULL, 0), "waitpid");
		printf("%d %d %d\n", 41000 + i, 4001 + i % 50, child);
	}
	return 0;
}

/* For counting instructions: one datagram at a time, sent and received. */
static int blast(int n)
{
	int receiver = open_as(5001, 4, SOCK_DGRAM, 0);
	int sender = open_as(5002, 4, SOCK_DGRAM, 0);
	struct timespec from, to;

	bind_to(receiver, 4, loopback(4), 50000);
	connect_to(sender, 4, loopback(4), 50000);
	for (int i = -100; i < n; i++) {
		if (i == 0)
			clock_gettime(CLOCK_MONOTONIC, &from);
		if (send(sender, data, 64, 0) != 64 ||
		    recv(receiver, data, 64, 0) != 64)
			die("blast");
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%.1f\n", ((to.tv_sec - from.tv_sec) * 1e9 +
			  (to.tv_nsec - from.tv_nsec)) / n);
	return 0;
}

/* --- Netlink. --- */

static int linubia_family_id(int fd)
{
	struct {
		struct nlmsghdr header;
		struct genlmsghdr generic;
		struct nlattr attribute;
		char name[8];
	} ask = {
		.header = { sizeof(ask), GENL_ID_CTRL, NLM_F_REQUEST, 1, 0 },
		.generic = { CTRL_CMD_GETFAMILY, 1, 0 },
		.attribute = { NLA_HDRLEN + 8, CTRL_ATTR_FAMILY_NAME },
		.name = LINUBIA_GENL_NAME,
	};
	char answer[4096];
	ssize_t n;

	check(send(fd, &ask, sizeof(ask), 0), "netlink");
	n = check(recv(fd, answer, sizeof(answer), 0), "netlink");
	for (char *at = answer + NLMSG_HDRLEN + GENL_HDRLEN; at < answer + n;) {
		struct nlattr *attribute = (void *)at;

		if (attribute->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(unsigned short *)(at + NLA_HDRLEN);
		at += NLA_ALIGN(attribute->nla_len);
	}
	return -1;
}

static unsigned int next_random = 1;

static unsigned int random_number(void)
{
	next_random = next_random * 1664525 + 1013904223;
	return next_random >> 8;
}

/* Messages that are wrong in some way. Counts the answers by kind. */
static int fuzz(int n)
{
	int fd = check(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC),
		       "netlink");
	int family = linubia_family_id(fd), taken = 0, refusals = 0;
	char message[256], answer[1 << 16];

	if (family < 0)
		die("no family linubia");
	for (int i = 0; i < n; i++) {
		struct nlmsghdr *header = (void *)message;
		struct genlmsghdr *generic = NLMSG_DATA(header);
		size_t length = NLMSG_HDRLEN + random_number() % 120;
		bool refused = false, end = false;

		for (size_t j = 0; j < sizeof(message); j++)
			message[j] = random_number();
		header->nlmsg_len = length;
		header->nlmsg_type = family;
		header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK |
				      (random_number() & 1 ? NLM_F_DUMP : 0);
		header->nlmsg_seq = i;
		if (random_number() & 7)
			generic->cmd = random_number() % 9;
		generic->reserved = random_number() & 3 ? 0 : 1;
		/* Attributes with numbers that exist, and any length. */
		for (size_t at = NLMSG_HDRLEN + GENL_HDRLEN;
		     at + NLA_HDRLEN <= length && random_number() & 7;) {
			struct nlattr *attribute = (void *)(message + at);

			attribute->nla_type = random_number() % 18;
			attribute->nla_len = random_number() & 1 ?
					     8 : random_number() % 24;
			at += NLA_ALIGN(attribute->nla_len ? : 4);
			/* Half of them end where their attributes do. */
			if (at <= length && random_number() & 1)
				length = at;
			header->nlmsg_len = length;
		}
		if (send(fd, message, length, 0) < 0)
			die("send");
		while (!end) {
			ssize_t got = recv(fd, answer, sizeof(answer), 0);

			if (got < 0)
				die("no answer");
			for (struct nlmsghdr *at = (void *)answer;
			     NLMSG_OK(at, got); at = NLMSG_NEXT(at, got)) {
				if (at->nlmsg_type == NLMSG_DONE) {
					end = true;
					if (*(int *)NLMSG_DATA(at) < 0)
						refused = true;
				} else if (at->nlmsg_type == NLMSG_ERROR) {
					end = true;
					if (*(int *)NLMSG_DATA(at) < 0)
						refused = true;
				}
			}
		}
		if (refused)
			refusals++;
		else
			taken++;
	}
	printf("{\"messages\":%d,\"refused\":%d,\"taken\":%d}\n", n, refusals,
	       taken);
	return 0;
}

static int stream(int seconds)
{
	int receiver = open_as(6001, 4, SOCK_DGRAM, 0);
	int sender = open_as(6002, 4, SOCK_DGRAM, 0);
	time_t end = time(NULL) + seconds;

	bind_to(receiver, 4, loopback(4), 60000);
	connect_to(sender, 4, loopback(4), 60000);
	while (time(NULL) < end)
		for (int i = 0; i < 100; i++) {
			send(sender, data, 500, 0);
			recv(receiver, data, 500, MSG_DONTWAIT);
		}
	return 0;
}

/* Segments: what one call hands over is many packets on the wire. */
static int segments(void)
{
	int receiver = open_as(7001, 4, SOCK_DGRAM, 0), size = 1000;
	int sender = open_as(7002, 4, SOCK_DGRAM, 0);

	bind_to(receiver, 4, loopback(4), 51000);
	connect_to(sender, 4, loopback(4), 51000);
	check(setsockopt(sender, IPPROTO_UDP, UDP_SEGMENT_OPTION, &size,
			 sizeof(size)), "UDP_SEGMENT");
	check(send(sender, data, 9500, 0), "send");
	receive(receiver, 9500);
	find_hosts();
	ethtool_set("lo", ETHTOOL_STSO, 1);
	tcp_case(4, "home", "home", 7003, 7004, 52000, 500000, 100);
	tcp_case(6, "home", "home", 7003, 7004, 52000, 500000, 100);
	tcp_case(4, "home", "box", 7005, 7006, 52100, 500000, 100);
	tcp_case(6, "home", "box", 7005, 7006, 52100, 500000, 100);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 0;

	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(what, "cases"))
		cases(argv[0]);
	else if (!strcmp(what, "loopback"))
		loopback_cases();
	else if (!strcmp(what, "million"))
		return million(n);
	else if (!strcmp(what, "brief"))
		return brief(n);
	else if (!strcmp(what, "blast"))
		return blast(n);
	else if (!strcmp(what, "fuzz"))
		return fuzz(n);
	else if (!strcmp(what, "stream"))
		return stream(n);
	else if (!strcmp(what, "timewait"))
		time_wait(53000);
	else if (!strcmp(what, "segments"))
		return segments();
	else if (!strcmp(what, "once")) {
		int fd = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");

		bind_to(fd, 4, loopback(4), n);
		send_to(fd, 4, loopback(4), n + 1, data, 400);
	} else {
		fprintf(stderr, "traffic: unknown word '%s'\n", what);
		return 2;
	}
	return 0;
}
