#include "privsep/netwriter.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

enum { FIRST_ROOM = 4096 };

void netwriter_begin(struct netwriter *w, unsigned type, unsigned flags, uint32_t sequence)
{
    const struct nlmsghdr header = {.nlmsg_type = (uint16_t)type,
                                    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
                                    .nlmsg_seq = sequence};

    w->at = w->size;
    netwriter_put(w, &header, sizeof header);
}

void netwriter_put(struct netwriter *w, const void *bytes, size_t size)
{
    const size_t end = w->size + NLMSG_ALIGN(size);

    while (end > w->room) {
        w->room = w->room ? 2 * w->room : FIRST_ROOM;
        w->bytes = realloc(w->bytes, w->room);
        if (!w->bytes)
            fatal("no memory for what is told the kernel");
    }
    memcpy(w->bytes + w->size, bytes, size);
    memset(w->bytes + w->size + size, 0, end - w->size - size);
    w->size = end;
}

void netwriter_attribute(struct netwriter *w, unsigned type, const void *bytes, size_t size)
{
    const struct nlattr head = {.nla_len = (uint16_t)(sizeof head + size),
                                .nla_type = (uint16_t)type};

    netwriter_put(w, &head, sizeof head);
    netwriter_put(w, bytes, size);
}

void netwriter_text(struct netwriter *w, unsigned type, const char *text)
{
    netwriter_attribute(w, type, text, strlen(text) + 1);
}

void netwriter_u32(struct netwriter *w, unsigned type, uint32_t value)
{
    value = htonl(value);
    netwriter_attribute(w, type, &value, sizeof value);
}

void netwriter_u64(struct netwriter *w, unsigned type, uint64_t value)
{
    value = htobe64(value);
    netwriter_attribute(w, type, &value, sizeof value);
}

size_t netwriter_open(struct netwriter *w, unsigned type)
{
    const size_t at = w->size;

    netwriter_attribute(w, type | NLA_F_NESTED, "", 0);
    return at;
}

void netwriter_close(struct netwriter *w, size_t at)
{
    const uint16_t size = (uint16_t)(w->size - at);

    memcpy(w->bytes + at + offsetof(struct nlattr, nla_len), &size, sizeof size);
}

void netwriter_end(struct netwriter *w)
{
    const uint32_t size = (uint32_t)(w->size - w->at);

    memcpy(w->bytes + w->at + offsetof(struct nlmsghdr, nlmsg_len), &size, sizeof size);
}
