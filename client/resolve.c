#include "client/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/nat64.h"
#include "client/source.h"

static bool is_among(const struct target *targets, unsigned count, const struct target *target)
{
    for (unsigned i = 0; i < count; i++)
        if (targets[i].size == target->size &&
            memcmp(&targets[i].to, &target->to, (size_t)target->size) == 0)
            return true;
    return false;
}

/* Puts the address behind the `count` targets, unless it is among them or is not possible. Returns
 * the new count. */
static unsigned add_target(struct target *targets, unsigned count, const struct addrinfo *info,
                           struct error *why)
{
    struct target *target = &targets[count];
    char text[TARGET_TEXT_SIZE];
    struct address address;

    *target = (struct target){.size = (socklen_t)info->ai_addrlen, .may_sign = true};
    memcpy(&target->to, info->ai_addr, info->ai_addrlen);
    return count + (address_from_sockaddr(&address, info->ai_addr) &&
                    target_is_possible(&address, target_format(target, text), why) &&
                    !is_among(targets, count, target));
}

/* ---- behind a NAT64 ------------------------------------------------------ */

/* Stores the IPv4 addresses among what getaddrinfo(3) has found. Returns how many there are. */
static size_t collect_ipv4(struct address v4[static TARGETS_MAX], const struct addrinfo *found)
{
    size_t count = 0;

    for (; found && count < TARGETS_MAX; found = found->ai_next)
        if (found->ai_family == AF_INET)
            count += address_from_sockaddr(&v4[count], found->ai_addr);
    return count;
}

static size_t look_up_ipv4(struct address v4[static TARGETS_MAX], const char *host)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found;
    size_t count;

    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return 0;
    count = collect_ipv4(v4, found);
    freeaddrinfo(found);
    return count;
}

static bool leaves_from_global(const struct target *target)
{
    struct address source;
    struct error unused;
    int fd = source_connect_udp(target, &source, &unused);

    if (fd < 0)
        return false;
    close(fd);
    return !address_is_ipv4(&source) && address_is_global(&source);
}

/* Finds the targets that a NAT64 translates to one of the IPv4 addresses. The name's own IPv4
 * addresses must be among these: otherwise, whoever answers for the name could have any address
 * left open. */
static void find_translated(struct target *targets, unsigned count, const struct address *v4,
                            size_t v4_count)
{
    struct address synthetic[NAT64_PREFIXES], to;
    bool is_looked_up = false;
    size_t synthetic_count = 0;

    for (unsigned i = 0; i < count; i++) {
        if (!targets[i].may_sign ||
            !address_from_sockaddr(&to, (const struct sockaddr *)&targets[i].to) ||
            !nat64_may_translate(&to, v4, v4_count) || !leaves_from_global(&targets[i]))
            continue;
        if (!is_looked_up)
            synthetic_count = nat64_look_up(synthetic);
        is_looked_up = true;
        targets[i].may_sign = !nat64_translates(&to, v4, v4_count, synthetic, synthetic_count);
    }
}

static void examine_signing(struct target *targets, unsigned count, const char *host, int family,
                            const struct addrinfo *found)
{
    struct address v4[TARGETS_MAX], to;
    bool any_is_signed = false;

    for (unsigned i = 0; i < count; i++) {
        targets[i].may_sign =
            !address_from_sockaddr(&to, (const struct sockaddr *)&targets[i].to) ||
            !nat64_is_well_known(&to);
        any_is_signed |= targets[i].may_sign && leaves_from_global(&targets[i]);
    }
    if (any_is_signed)
        find_translated(targets, count, v4,
                        family == AF_INET6 ? look_up_ipv4(v4, host) : collect_ipv4(v4, found));
}

/* ---- resolving ----------------------------------------------------------- */

unsigned resolve_targets(struct target targets[static TARGETS_MAX], const char *host,
                         uint16_t port, int family, bool signs, struct error *why)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM,
                             .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char service[sizeof "65535"];
    unsigned count = 0;
    int failure;

    snprintf(service, sizeof service, "%u", port);
    failure = getaddrinfo(host, service, &hints, &found);
    if (failure != 0) {
        error_set(why, "%s: no %saddress found: %s; check the name and this machine's network",
                  host, family == AF_INET ? "IPv4 " : family == AF_INET6 ? "IPv6 " : "",
                  failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
        return 0;
    }
    for (const struct addrinfo *info = found; info && count < TARGETS_MAX; info = info->ai_next)
        count = add_target(targets, count, info, why);
    if (signs)
        examine_signing(targets, count, host, family, found);
    freeaddrinfo(found);
    return count;
}

/* Puts the targets of a host behind the `count` that there are, `room` at most. Returns the new
 * count. */
static unsigned add_host(struct target *targets, unsigned count, unsigned room, const char *host,
                         const struct server *server, int family, struct error *why)
{
    struct target found[TARGETS_MAX];
    struct error reason;
    unsigned made = resolve_targets(found, host, server->port, family,
                                    server->address.source == ADDRESS_AUTO, &reason);

    if (made == 0)
        *why = reason;
    for (unsigned i = 0; i < made && i < room; i++)
        targets[count++] = found[i];
    return count;
}

unsigned resolve_server(struct target targets[static TARGETS_MAX], const struct server *server,
                        int family, struct error *why)
{
    unsigned count = 0;

    why->text[0] = '\0';
    if (server->member_count == 0)
        return add_host(targets, 0, TARGETS_MAX, server->host, server, family, why);
    for (unsigned i = 0; i < server->member_count; i++) {
        const char *member = server->members[i];
        unsigned first = count;

        count = add_host(targets, count, TARGETS_MAX / server->member_count, member, server, family,
                         why);
        for (; first < count; first++)
            member_id(targets[first].member, member);
    }
    return count;
}
