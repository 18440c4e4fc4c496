#include "privsep/nftables/batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

enum { LAST = 1 }; /* the number of the message whose answer is waited for; others have 0 */

static void begin(struct netwriter *w, unsigned type, unsigned flags, uint8_t family,
                  uint16_t subsystem)
{
    const struct nfgenmsg about = {.nfgen_family = family, .version = NFNETLINK_V0,
                                   .res_id = htons(subsystem)};

    netwriter_begin(w, type, flags, 0);
    netwriter_put(w, &about, sizeof about);
}

void batch_begin(struct netwriter *w)
{
    w->size = 0;
    begin(w, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    netwriter_end(w);
}

void batch_message(struct netwriter *w, unsigned message, unsigned flags)
{
    begin(w, NFNL_SUBSYS_NFTABLES << 8 | message, flags, NFPROTO_INET, 0);
}

void batch_append(struct netwriter *w, const void *messages, size_t size)
{
    const size_t end = w->size + size;
    struct nlmsghdr header;

    netwriter_put(w, messages, size);
    for (size_t at = end - size; at < end; at += NLMSG_ALIGN(header.nlmsg_len)) {
        memcpy(&header, w->bytes + at, sizeof header);
        w->at = at;
    }
}

/* Has the kernel answer the last message though it does it. */
static void ask_for_answer(struct netwriter *w)
{
    struct nlmsghdr header;

    memcpy(&header, w->bytes + w->at, sizeof header);
    header.nlmsg_flags |= NLM_F_ACK;
    header.nlmsg_seq = LAST;
    memcpy(w->bytes + w->at, &header, sizeof header);
}

/* Receives an answer, if one waits, or learns that some did not fit. What it repeats of the message
 * is cut off. */
static bool receive(int fd, struct nlmsghdr *header, int *error)
{
    struct {
        struct nlmsghdr header;
        int32_t error;
    } answer;
    ssize_t n = recv(fd, &answer, sizeof answer, MSG_DONTWAIT);

    *header = answer.header;
    *error = n == sizeof answer && answer.header.nlmsg_type == NLMSG_ERROR &&
                     answer.error <= 0 && answer.error > INT32_MIN
                 ? -answer.error
                 : EIO;
    return n >= 0 || errno == ENOBUFS;
}

static int exchange(struct netwriter *w, int fd)
{
    bool is_answered = false;
    struct nlmsghdr header;
    int error, first = 0;

    while (receive(fd, &header, &error))
        continue;
    errno = EIO;
    if (send(fd, w->bytes, w->size, MSG_DONTWAIT) != (ssize_t)w->size)
        return errno;
    while (receive(fd, &header, &error)) {
        if (first == 0)
            first = error;
        is_answered |= header.nlmsg_seq == LAST;
    }
    return first != 0 || is_answered ? first : EIO;
}

int batch_send(struct netwriter *w, int fd)
{
    ask_for_answer(w);
    begin(w, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    netwriter_end(w);
    return exchange(w, fd);
}

int batch_try(struct netwriter *w, int fd)
{
    ask_for_answer(w);
    return exchange(w, fd);
}
