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
    int fd; /* readable when frames wait */
};

/* Takes a frame of `size` bytes, which are valid during the call. `captured` is when the kernel
 * took it, in nanoseconds of the wall clock. */
typedef void capture_handler(void *user, enum frame_link link, const uint8_t *bytes, size_t size,
                             int64_t captured);

enum capture_result {
    CAPTURE_OPENED,
    CAPTURE_FAILED,
    CAPTURE_UNSUPPORTED, /* the interface's link type is not known here */
};

/* Opens a capture on `interface` (or "any") in immediate mode, not promiscuous, with a filter for
 * the setup's knock ports, and locks the filter: not even this process can change it any more.
 * Needs CAP_NET_RAW. Unless it is opened, the reason is in *why, and nothing is left open. */
enum capture_result capture_open(struct capture *capture, const char *interface,
                                 const struct sniffer_setup *setup, struct error *why);

enum { CAPTURE_FRAMES_AT_ONCE = 64 };

/* Hands the frames that wait to `handler`, CAPTURE_FRAMES_AT_ONCE at most, and does not wait for
 * any. Adds to *dropped how many frames the kernel has dropped, as the capture's buffer was full,
 * since it was last asked. False with the reason when the capture has ended, as when its
 * interface was deleted. */
bool capture_read(struct capture *capture, capture_handler *handler, void *user,
                  uint64_t *dropped, struct error *why);

enum { CAPTURE_FILTER_SIZE = 16384 };

/* Writes the filter for a link type, in libpcap's language (pcap-filter(7)). It takes packets of
 * the setup's transports to one of its knock ports (an echo request has no port). They have a
 * knock's size, or in UDP up to that of FRAME_MERGED_MAX knocks. On Ethernet they may be behind
 * one or two VLAN tags. */
void capture_filter(char text[static CAPTURE_FILTER_SIZE], enum frame_link link,
                    const struct sniffer_setup *setup);

#endif
