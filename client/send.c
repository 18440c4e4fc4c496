#include "send.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "echo.h"
#include "syn.h"

/* A packet that netfilter drops on its way out is an EPERM for its sender
 * (nf_hook_slow in the kernel's net/netfilter/core.c). */
static bool explain_send(struct error *why, int error)
{
    if (error == EPERM)
        return error_set(why, "%s by a firewall on this machine: let UDP to the knock port out",
                         strerror(error));
    return error_set(why, "%s", strerror(error));
}

/* `fd` is a UDP socket connected to the target. */
static void send_datagram(struct sending *s, int fd)
{
    switch (s->transport) {
    case TRANSPORT_TCP_SYN:
        s->sent = syn_send(&s->target, s->datagram, s->size, &s->why);
        break;
    case TRANSPORT_ICMP:
        s->sent = echo_send(&s->target, s->datagram, s->size, &s->why);
        break;
    default:
        s->sent = send(fd, s->datagram, s->size, 0) == (ssize_t)s->size ||
                  explain_send(&s->why, errno);
    }
}

static void send_one(struct sending *s, const struct knocker *knocker, bool sign_source)
{
    struct address source;
    int fd = target_connect(&s->target, &source, &s->why);

    if (fd < 0)
        return;
    if (sign_source && address_is_global(&source)) {
        s->request.has_address = true;
        s->request.address = source;
    }
    s->size = knock_make(s->datagram, knocker, &s->request);
    send_datagram(s, fd);
    close(fd);
}

/* The first address has the highest: where a profile has room for one grant, the
 * newest knock says where it is, and one connects to the first address first. */
static unsigned counter_of(unsigned i, unsigned count)
{
    return i == 0 ? count - 1 : i - 1;
}

unsigned send_knocks(struct sending *sendings, const struct target *targets, unsigned count,
                     const struct knocker *knocker, const struct request *request,
                     bool sign_source)
{
    unsigned sent = 0;

    for (unsigned i = 0; i < count; i++) {
        sendings[i] = (struct sending){
            .target = targets[i], .transport = knocker->transport, .request = *request};
        sendings[i].request.counter += counter_of(i, count);
        send_one(&sendings[i], knocker, sign_source);
        sent += sendings[i].sent;
    }
    return sent;
}

static void send_one_again(struct sending *s)
{
    struct address source;
    int fd;

    s->sent = false;
    if (s->size == 0)
        return;
    fd = target_connect(&s->target, &source, &s->why);
    if (fd < 0)
        return;
    send_datagram(s, fd);
    close(fd);
}

unsigned send_knocks_again(struct sending *sendings, unsigned count)
{
    unsigned sent = 0;

    for (unsigned i = 0; i < count; i++) {
        send_one_again(&sendings[i]);
        sent += sendings[i].sent;
    }
    return sent;
}
