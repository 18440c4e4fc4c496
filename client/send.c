#include "send.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void send_one(struct sending *s, const struct target *target, const struct knocker *knocker,
                     bool sign_source)
{
    uint8_t datagram[DATAGRAM_MAX];
    struct address source;
    int fd = target_connect(target, &source, &s->why);

    if (fd < 0)
        return;
    if (sign_source && address_is_global(&source)) {
        s->request.has_address = true;
        s->request.address = source;
    }
    s->size = knock_make(datagram, knocker, &s->request);
    s->sent = send(fd, datagram, s->size, 0) == (ssize_t)s->size ||
              error_set(&s->why, "%s", strerror(errno));
    close(fd);
}

unsigned send_knocks(struct sending *sendings, const struct target *targets, unsigned count,
                     const struct knocker *knocker, const struct request *request,
                     bool sign_source)
{
    unsigned sent = 0;

    for (unsigned i = 0; i < count; i++) {
        sendings[i] = (struct sending){.request = *request};
        sendings[i].request.counter += i;
        send_one(&sendings[i], &targets[i], knocker, sign_source);
        sent += sendings[i].sent;
    }
    return sent;
}
