/* Addresses and prefixes as text, and as the system calls have them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"

bool address_from_sockaddr(struct address *a, const struct sockaddr *from)
{
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, from, sizeof in);
        *a = address_from_ipv4((const uint8_t *)&in.sin_addr);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, from, sizeof in6);
        memcpy(a->bytes, &in6.sin6_addr, sizeof a->bytes);
        return true;
    }
    return false;
}

bool address_parse(struct address *a, const char *text)
{
    uint8_t v4[4];

    if (inet_pton(AF_INET, text, v4) == 1) {
        *a = address_from_ipv4(v4);
        return true;
    }
    return inet_pton(AF_INET6, text, a->bytes) == 1;
}

bool address_parse_scoped(struct address *a, const char *text)
{
    char bare[ADDRESS_TEXT_SIZE];
    size_t size = strcspn(text, "%");

    if (size >= sizeof bare)
        return false;
    memcpy(bare, text, size);
    bare[size] = '\0';
    return address_parse(a, bare) && (text[size] == '\0' || !address_is_ipv4(a));
}

static bool parse_length(const char *digits, unsigned most, unsigned *length)
{
    size_t n = strspn(digits, "0123456789");

    if (n == 0 || n > 3 || digits[n] != '\0' || (n > 1 && digits[0] == '0'))
        return false;
    *length = (unsigned)strtoul(digits, NULL, 10);
    return *length <= most;
}

bool prefix_parse(struct prefix *p, const char *text, struct error *why)
{
    size_t n = strcspn(text, "/");
    const char *slash = text + n;
    char address[ADDRESS_TEXT_SIZE];
    unsigned length, most;

    if (n >= sizeof address)
        return error_set(why, "'%s' is not an IP address or prefix", text);
    memcpy(address, text, n);
    address[n] = '\0';
    if (!address_parse(&p->address, address))
        return error_set(why, "'%s' is not an IP address or prefix such as 192.0.2.0/24", text);
    most = strchr(address, ':') ? 128 : 32;
    length = most;
    if (*slash && !parse_length(slash + 1, most, &length))
        return error_set(why, "'%s': the prefix length must be 0 to %u", text, most);
    length += 128 - most;
    for (unsigned bit = length; bit < 128; bit++)
        if (p->address.bytes[bit / 8] & (0x80 >> bit % 8))
            return error_set(why, "'%s' has bits set beyond its prefix length; write the network's "
                                  "own address, as in 192.0.2.0/24", text);
    p->length = (uint8_t)length;
    return true;
}

const char *prefix_format(const struct prefix *p, char text[static PREFIX_TEXT_SIZE])
{
    char address[ADDRESS_TEXT_SIZE];
    bool v4 = address_is_ipv4(&p->address) && p->length >= ADDRESS_MAPPED_BITS;

    if (v4)
        address_format(&p->address, address);
    else
        inet_ntop(AF_INET6, p->address.bytes, address, sizeof address);
    snprintf(text, PREFIX_TEXT_SIZE, "%s/%d", address,
             v4 ? p->length - ADDRESS_MAPPED_BITS : p->length);
    return text;
}

bool address_is_global(const struct address *a)
{
    static const char *const v4_special[] = {
        "10.0.0.0/8",     "100.64.0.0/10",   "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24",   "192.88.99.0/24",  "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "240.0.0.0/4",
    };
    struct error unused;
    struct prefix p = {0};

    if (!address_is_grantable(a))
        return false;
    if (!address_is_ipv4(a))
        return prefix_parse(&p, "2000::/3", &unused) && prefix_contains(&p, a) &&
               prefix_parse(&p, "2001:db8::/32", &unused) && !prefix_contains(&p, a);
    for (size_t i = 0; i < sizeof v4_special / sizeof *v4_special; i++)
        if (prefix_parse(&p, v4_special[i], &unused) && prefix_contains(&p, a))
            return false;
    return true;
}
