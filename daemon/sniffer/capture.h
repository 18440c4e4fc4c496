/* One libpcap capture of incoming frames that may be knocks. */
#ifndef PORTSMITH_CAPTURE_H
#define PORTSMITH_CAPTURE_H

#include <pcap/pcap.h>
#include <stdbool.h>

#include "common/error.h"
#include "daemon/sniffer/frame.h"
#include "daemon/sniffer/sniffermessage.h"

struct capture {
    pcap_t *pcap;
    enum frame_link link;
    int fd; /* to poll */
};

/* `captured` is when the kernel did, wall clock, nanoseconds. */
typedef void capture_handler(void *user, enum frame_link link, const uint8_t *bytes, size_t size,
                             int64_t captured);

enum capture_result {
    CAPTURE_OPENED,
    CAPTURE_FAILED,
    CAPTURE_UNSUPPORTED, /* the interface's link type is not known here */
};

/* Opens `interface` (or "any") in immediate mode, not promiscuous, with a
 * filter for the setup's knock ports, and locks the filter: not even
 * this process can change it any more. Needs CAP_NET_RAW. The reason in *why
 * unless it is opened. */
enum capture_result capture_open(struct capture *capture, const char *interface,
                                 const struct sniffer_setup *setup, struct error *why);

enum { CAPTURE_FRAMES_AT_ONCE = 64 };

/* Hands frames that wait to `handler`, CAPTURE_FRAMES_AT_ONCE at most. Adds to *dropped
 * how many the kernel has dropped for want of room in the capture's buffer since that
 * was last said. False with the reason when the capture has ended, as when its interface
 * was deleted. */
bool capture_read(struct capture *capture, capture_handler *handler, void *user,
                  uint64_t *dropped, struct error *why);

/* The filter's text for a link type, in libpcap's language (pcap-filter(7)):
 * packets of the setup's transports to one of its knock ports (an echo
 * request has none), of a knock's size, or of FRAME_MERGED_MAX knocks' where they are UDP,
 * at most two VLAN tags deep where the link has them. */
enum { CAPTURE_FILTER_SIZE = 16384 };
void capture_filter(char text[static CAPTURE_FILTER_SIZE], enum frame_link link,
                    const struct sniffer_setup *setup);

#endif
