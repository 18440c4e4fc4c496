/* Questions to the kernel over netlink(7), and its answers: messages of nested
 * attributes, written and read in fixed storage. What is read is copied out by its exact
 * size, and only answers of the kernel's own are taken.
 *
 * One question is asked at a time. Nothing here waits: the kernel puts its answer into the
 * socket before send(2) returns, and what does not fit before the next recv(2) does. */
#ifndef PORTSMITH_NETLINK_H
#define PORTSMITH_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUESTION_SIZE = 16384 }; /* bytes */

/* A message that is being written. */
union question {
    struct nlmsghdr header;
    uint8_t bytes[QUESTION_SIZE];
};

/* Something that was read; good until the next question. */
struct span {
    const uint8_t *bytes; /* NULL: there is none */
    size_t size;
};

/* Gets each answer, without the header of netlink. */
typedef void answer_handler(void *into, struct span answer);

/* A socket for one of netlink's protocols, connected to the kernel; -1: this host has
 * none. */
int netlink_open(int protocol);

/* Lets so many bytes wait at a socket to be heard; the kernel takes the memory only while
 * something waits. In a user namespace it is net.core.rmem_max at most. */
void netlink_make_room(int fd, int bytes);

/* Begins a question of this type; NLM_F_REQUEST is added to `flags`. */
void netlink_begin(union question *q, unsigned type, unsigned flags);

/* Appends bytes, or an attribute with them, padded with zeros to a multiple of four. That
 * there is room is up to the caller. */
void netlink_put(union question *q, const void *bytes, size_t size);
void netlink_put_attribute(union question *q, unsigned type, const void *bytes,
                           size_t size);

/* Opens an attribute that holds others; returns where it began, which ends it. */
uint32_t netlink_begin_nest(union question *q, unsigned type);
void netlink_end_nest(union question *q, uint32_t at);

/* Asks, and hands on all answers. 0, or the errno (or, above 4095, the subsystem's own
 * number) that tells why not. When the answers go on for more than a second, or cannot be
 * told from the next question's, the socket is closed and *fd is -1 for good: then EIO,
 * and EOPNOTSUPP from then on. */
int netlink_ask(int *fd, union question *q, answer_handler *handle, void *into);

/* The same, for answers that may go on until then (CLOCK_BOOTTIME, nanoseconds). */
int netlink_ask_until(int *fd, union question *q, int64_t until, answer_handler *handle,
                      void *into);

/* Receives the next datagram of the kernel's, with flags of recv(2), into `size` bytes; *got is
 * what came. 0 or an errno: EAGAIN when there is none, EIO when it is cut or somebody else's. */
int netlink_receive(int fd, int flags, uint8_t *bytes, size_t size, struct span *got);

/* The first attribute of a type, with and without its header; none: NULL. */
struct span netlink_find_whole(struct span in, unsigned type);
struct span netlink_find(struct span in, unsigned type);

/* Copies an attribute; false unless it is there and has this size. */
bool netlink_read(struct span in, unsigned type, void *to, size_t size);

/* The next multiple of four, at which messages and attributes begin (NLMSG_ALIGN,
 * NLA_ALIGN). */
size_t netlink_aligned(size_t size);

#endif
