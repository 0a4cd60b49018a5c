// SPDX-License-Identifier: GPL-2.0
/*
 * LINUBIA: what a packet is and how much of it was or will be on the wire.
 *
 * Nothing here looks at sockets or tables, so that it also runs in user space.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/kernel.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ipv6.h>

#include "linubia.h"

/* Reads the fragment header; false if it is cut short. */
static bool linubia_read_part(const struct sk_buff *skb,
			      struct linubia_packet *p, int offset)
{
	struct frag_hdr buffer;
	const struct frag_hdr *part = skb_header_pointer(skb, offset,
							 sizeof(buffer),
							 &buffer);

	if (!part)
		return false;
	p->part_id = part->identification;
	if (part->frag_off & htons(~0x7)) {
		p->part = LINUBIA_LATER;
		p->protocol = part->nexthdr;
	} else {
		p->part = LINUBIA_FIRST;
	}
	return true;
}

/* Finds the transport header behind IPv6 extension headers. */
static bool linubia_skip_extensions(const struct sk_buff *skb,
				    struct linubia_packet *p)
{
	unsigned int where = 0;
	u8 protocol = p->protocol;
	__be16 part = 0;
	int offset = ipv6_skip_exthdr(skb, p->offset, &protocol, &part);

	if (offset < 0 || offset > U16_MAX)
		return false;
	p->protocol = protocol;
	p->offset = offset;
	/* Neither an offset nor more to come: whole, whatever it says. */
	if (!(part & htons(~0x7 | IP6_MF)))
		return true;
	if (protocol != NEXTHDR_FRAGMENT) {
		if (ipv6_find_hdr(skb, &where, NEXTHDR_FRAGMENT, NULL,
				  NULL) < 0)
			return false;
		offset = where;
	}
	return linubia_read_part(skb, p, offset);
}

/**
 * linubia_dissect6 - reads an IPv6 header
 * @skb: packet, with skb->data at its IP header
 * @p: protocol and offset are set
 *
 * Return: false if headers are cut short.
 */
bool linubia_dissect6(const struct sk_buff *skb, struct linubia_packet *p)
{
	p->protocol = ipv6_hdr(skb)->nexthdr;
	p->offset = skb_network_offset(skb) + sizeof(struct ipv6hdr);
	if (likely(p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP ||
		   p->protocol == IPPROTO_ICMPV6))
		return true;
	return linubia_skip_extensions(skb, p);
}

/* Octets from the IP header to the payload of each segment. */
static unsigned int linubia_segment_headers(const struct sk_buff *skb,
					    const struct linubia_packet *p)
{
	unsigned int offset = p->offset;
	struct tcphdr buffer;
	const struct tcphdr *tcp;

	if (skb->encapsulation &&
	    skb_inner_transport_header(skb) > skb_transport_header(skb))
		offset = skb_inner_transport_offset(skb);
	offset -= skb_network_offset(skb);
	if (!(skb_shinfo(skb)->gso_type & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6)))
		return offset + sizeof(struct udphdr);
	tcp = skb_header_pointer(skb, offset + skb_network_offset(skb),
				 sizeof(buffer), &buffer);
	return offset + (tcp ? tcp->doff * 4 : sizeof(*tcp));
}

/**
 * linubia_count_segments - counts what an offloaded packet is on the wire
 * @skb: a packet for which skb_is_gso() holds
 * @p: its counts are changed
 *
 * The headers are repeated in front of each segment.
 */
void linubia_count_segments(const struct sk_buff *skb,
			    struct linubia_packet *p)
{
	unsigned int headers = linubia_segment_headers(skb, p);
	unsigned int size = skb_shinfo(skb)->gso_size;
	unsigned int segments;

	if (p->octets <= headers || !size)
		return;
	/* Segments by their number: who made the packet may have left it 0. */
	segments = DIV_ROUND_UP(p->octets - headers, size);
	p->merged = segments - 1;
	p->merged_octets = p->merged * headers;
	p->packets = segments;
	p->octets += p->merged_octets;
}

/**
 * linubia_count_fragments - counts what a packet is in fragments
 * @p: its counts are changed; they must be those of the whole packet
 * @headers: octets in front of what is divided, without a fragment header
 * @mtu: largest packet that goes on the wire, or the largest fragment that came
 *
 * All fragments but the last carry as many octets as fit, a multiple of 8.
 */
void linubia_count_fragments(struct linubia_packet *p, unsigned int headers,
			     unsigned int mtu)
{
	unsigned int own = p->family == LINUBIA_IPV6 ? 8 : 0;
	unsigned int payload, share, fragments;

	if (p->octets <= headers || mtu < headers + own + 8)
		return;
	payload = p->octets - headers;
	share = (mtu - headers - own) & ~7U;
	/* The first fragment that comes may carry what is no multiple of 8. */
	fragments = DIV_ROUND_UP(payload, share);
	p->packets = fragments;
	p->octets = payload + fragments * (headers + own);
}
