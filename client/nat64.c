#include "client/nat64.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

enum { ZERO_BYTE = 8 }; /* bits 64 to 71, which an embedded IPv4 address leaves out */

/* How many bits a NAT64's prefix can have (RFC 6052, 2.2). */
static const unsigned lengths[] = {32, 40, 48, 56, 64, 96};

enum { LENGTHS = sizeof lengths / sizeof *lengths };

bool nat64_is_well_known(const struct address *a)
{
    static const char *const prefixes[] = {"64:ff9b::/96", "64:ff9b:1::/48"};
    struct error unused;
    struct prefix p = {0};

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (prefix_parse(&p, prefixes[i], &unused) && prefix_contains(&p, a))
            return true;
    return false;
}

bool nat64_embedded(const struct address *a, unsigned length, struct address *v4)
{
    size_t at = length / 8;
    uint8_t bytes[4];
    bool known = false;

    for (size_t i = 0; i < LENGTHS; i++)
        known |= lengths[i] == length;
    if (!known || address_is_ipv4(a) || a->bytes[ZERO_BYTE] != 0)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (at == ZERO_BYTE)
            at++;
        bytes[i] = a->bytes[at++];
    }
    *v4 = address_from_ipv4(bytes);
    return true;
}

/* Whether `target` holds one of the addresses at `v4` behind a prefix of that length. */
static bool stands_for(const struct address *target, unsigned length, const struct address *v4,
                       size_t count)
{
    struct address embedded;

    if (!nat64_embedded(target, length, &embedded))
        return false;
    for (size_t i = 0; i < count; i++)
        if (address_equal(&embedded, &v4[i]))
            return true;
    return false;
}

bool nat64_may_translate(const struct address *target, const struct address *v4, size_t count)
{
    for (size_t i = 0; i < LENGTHS; i++)
        if (stands_for(target, lengths[i], v4, count))
            return true;
    return false;
}

/* Whether both begin with the same prefix of that length, and `synthetic` goes on with an IPv4
 * address of ipv4only.arpa. */
static bool share_prefix(const struct address *synthetic, const struct address *target,
                         unsigned length)
{
    const struct address only[] = {
        address_from_ipv4((const uint8_t[]){192, 0, 0, 170}),
        address_from_ipv4((const uint8_t[]){192, 0, 0, 171}),
    };

    return stands_for(synthetic, length, only, 2) &&
           memcmp(synthetic->bytes, target->bytes, length / 8) == 0;
}

bool nat64_translates(const struct address *target, const struct address *v4, size_t count,
                      const struct address *synthetic, size_t synthetic_count)
{
    for (size_t i = 0; i < LENGTHS; i++)
        for (size_t k = 0; k < synthetic_count; k++)
            if (share_prefix(&synthetic[k], target, lengths[i]) &&
                stands_for(target, lengths[i], v4, count))
                return true;
    return false;
}

size_t nat64_look_up(struct address synthetic[static NAT64_PREFIXES])
{
    static const char name[] = "ipv4only.arpa."; /* the dot: no search domain is appended */
    struct addrinfo hints = {.ai_family = AF_INET6, .ai_socktype = SOCK_DGRAM}, *found;
    size_t count = 0;

    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return 0;
    for (const struct addrinfo *info = found; info && count < NAT64_PREFIXES; info = info->ai_next)
        count += address_from_sockaddr(&synthetic[count], info->ai_addr);
    freeaddrinfo(found);
    return count;
}
