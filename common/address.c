#include "common/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/bytes.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct address address_from_ipv4(const uint8_t v4[4])
{
    struct address a;

    memcpy(a.bytes, mapped, sizeof mapped);
    memcpy(a.bytes + sizeof mapped, v4, 4);
    return a;
}

const char *address_format(const struct address *a, char text[static ADDRESS_TEXT_SIZE])
{
    if (address_is_ipv4(a))
        inet_ntop(AF_INET, a->bytes + sizeof mapped, text, ADDRESS_TEXT_SIZE);
    else
        inet_ntop(AF_INET6, a->bytes, text, ADDRESS_TEXT_SIZE);
    return text;
}

bool address_is_ipv4(const struct address *a)
{
    return memcmp(a->bytes, mapped, sizeof mapped) == 0;
}

enum family address_family(const struct address *a)
{
    return address_is_ipv4(a) ? IPV4 : IPV6;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool address_is_unicast(const struct address *a)
{
    static const struct address unspecified = {{0}};
    const uint8_t *v4 = a->bytes + sizeof mapped;

    if (!address_is_ipv4(a))
        return !address_equal(a, &unspecified) && a->bytes[0] != 0xff;
    return v4[0] != 0 && (v4[0] & 0xf0) != 0xe0 && load_be32(v4) != UINT32_MAX;
}

bool address_is_foreign(const struct address *a)
{
    static const struct address loopback = {{[15] = 1}};

    if (!address_is_ipv4(a))
        return address_is_unicast(a) && !address_equal(a, &loopback);
    return address_is_unicast(a) && a->bytes[sizeof mapped] != 127;
}

bool address_is_link_local(const struct address *a)
{
    return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

bool address_is_grantable(const struct address *a)
{
    return address_is_foreign(a) && !address_is_link_local(a);
}

bool prefix_contains(const struct prefix *p, const struct address *a)
{
    size_t whole = p->length / 8;
    unsigned rest = p->length % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);

    /* Without this, ::/0 would contain each IPv4 address in its mapped form. */
    if (address_is_ipv4(a) && p->length < ADDRESS_MAPPED_BITS)
        return false;
    if (memcmp(p->address.bytes, a->bytes, whole) != 0)
        return false;
    return rest == 0 || ((p->address.bytes[whole] ^ a->bytes[whole]) & mask) == 0;
}
