#include "daemon/witness/news.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "privsep/netlink.h"

enum {
    AT_ONCE = 1024,      /* messages: a few milliseconds */
    MESSAGE_MAX = 32768, /* bytes: the most that the kernel puts into one (netlink_recvmsg) */
};

void news_begin(struct news *news, int fd)
{
    int type;
    socklen_t size = sizeof type;

    *news = (struct news){.fd = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 ? fd : -1};
}

/* ---- messages ----------------------------------------------------------- */

/* Takes an acknowledgement, of a mark or of the end of answers: both carry an errno, negated. */
static void take_number(struct news *news, struct usage *usage, const struct nlmsghdr *header,
                        struct span payload)
{
    int error = -EIO;

    if (payload.size >= sizeof error)
        memcpy(&error, payload.bytes, sizeof error);
    if (header->nlmsg_type == NLMSG_DONE || error != 0)
        usage_end_question(usage, header->nlmsg_seq, error == 0);
    else if (!usage_pass_mark(usage, header->nlmsg_seq))
        news->held = header->nlmsg_seq;
}

static void take_message(struct news *news, struct usage *usage, const struct nlmsghdr *header,
                         struct span payload)
{
    struct flow flow;

    if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE)
        take_number(news, usage, header, payload);
    else if (!flows_read(payload, &flow))
        return;
    else if (header->nlmsg_seq != 0)
        usage_count_answer(usage, header->nlmsg_seq, &flow);
    else if (flow.was_just_made)
        usage_count(usage, &flow);
}

/* Takes what one datagram says. False if that is no row of messages. */
static bool take_datagram(struct news *news, struct usage *usage, struct span from)
{
    struct nlmsghdr header;

    while (from.size >= sizeof header) {
        size_t step;

        memcpy(&header, from.bytes, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > from.size)
            return false;
        take_message(news, usage, &header,
                     (struct span){from.bytes + sizeof header, header.nlmsg_len - sizeof header});
        step = netlink_aligned(header.nlmsg_len);
        if (step >= from.size)
            break;
        from = (struct span){from.bytes + step, from.size - step};
    }
    return true;
}

/* ---- the socket --------------------------------------------------------- */

/* Takes one datagram, and then out of the socket. 0 or an errno. */
static int hear_one(struct news *news, struct usage *usage)
{
    static uint8_t bytes[MESSAGE_MAX];
    struct span got;
    int error = netlink_receive(news->fd, MSG_PEEK, bytes, sizeof bytes, &got);

    if (error == 0 && !take_datagram(news, usage, got))
        error = EIO;
    if (error == 0 || error == EIO) {
        int second = netlink_receive(news->fd, 0, bytes, sizeof bytes, &got);

        error = error == 0 ? second : error;
    }
    return error;
}

/* Once the kernel has lost news it loses more, without saying so again, until nothing waits any
 * more: what waits is heard before anybody is asked. */
static void lose(struct news *news, struct usage *usage)
{
    news->was_lost = true;
    usage_lose_news(usage);
}

enum heard news_hear(struct news *news, struct usage *usage)
{
    for (int i = 0; news->fd >= 0 && i < AT_ONCE; i++) {
        int error;

        if (news->held != 0 && !usage_pass_mark(usage, news->held))
            return NEWS_HELD;
        news->held = 0;
        error = hear_one(news, usage);
        if (error == EAGAIN)
            return NEWS_HEARD;
        news->was_heard = true;
        if (error != 0 && error != EINTR)
            lose(news, usage);
        if (error != 0 && error != EINTR && error != ENOBUFS && error != EIO)
            news->fd = -1; /* it would fail each time */
    }
    return news->fd >= 0 ? NEWS_MORE : NEWS_HEARD;
}

void news_let_go(struct news *news, struct usage *usage)
{
    if (news->held != 0)
        usage_pass_mark(usage, news->held);
    news->held = 0;
}
