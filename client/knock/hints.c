#include "client/knock/hints.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/text/timekeeping.h"

enum { HINT_SIZE = 512 }; /* bytes, the zero included */

static void tell_answer(int error, hints_teller *tell)
{
    char text[HINT_SIZE];

    if (error == ECONNREFUSED)
        tell("connections were refused: the server refuses them at its shut ports, or nothing "
             "listens there");
    else if (error != 0) {
        snprintf(text, sizeof text, "connections failed: %s", strerror(error));
        tell(text);
    } else
        tell("nothing answered; a firewall on the way, the server's provider's or one of this "
             "network, may stop the knock");
}

/* A server ignores knocks that are too far from its own clock. */
static void tell_clock(hints_teller *tell)
{
    time_t now = clock_wall_ns() / NSEC_PER_SEC;
    struct tm local;
    char text[64], hint[HINT_SIZE];

    if (timekeeping_is_synchronised())
        return;
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", localtime_r(&now, &local));
    snprintf(hint, sizeof hint,
             "this machine's clock is not synchronised: is it %s? A server ignores knocks that are "
             "over five minutes away from its own clock", text);
    tell(hint);
}

/* What the addresses of a knock say about a door that stays shut. */
enum cause { NO_CAUSE, OPENS_ELSEWHERE, SIGNS_OWN, LINK_LOCAL, NOT_PUBLIC };

static enum cause find_cause(const struct sending *s)
{
    if (!s->sent)
        return NO_CAUSE;
    if (s->request.has_address)
        return address_equal(&s->request.address, &s->source) ? SIGNS_OWN : OPENS_ELSEWHERE;
    if (address_is_link_local(&s->source))
        return LINK_LOCAL;
    return address_is_global(&s->source) ? NO_CAUSE : NOT_PUBLIC;
}

static void write_cause(char hint[static HINT_SIZE], enum cause cause, const struct sending *s,
                        const char *source)
{
    char text[ADDRESS_TEXT_SIZE];

    switch (cause) {
    case OPENS_ELSEWHERE:
        snprintf(hint, HINT_SIZE,
                 "the knock opens to %s, but connections from here leave from %s; see --address",
                 address_format(&s->request.address, text), source);
        break;
    case SIGNS_OWN:
        snprintf(hint, HINT_SIZE,
                 "the knock opens to %s, an address of this machine; if the network translates it "
                 "on the way (NAT66, NPTv6, some carriers), connections come from another "
                 "address: try --address observed, or name that other address", source);
        break;
    case LINK_LOCAL:
        snprintf(hint, HINT_SIZE,
                 "the knock left from %s, which is link-local, and no server opens a port to such "
                 "an address: give this machine a global or unique local one", source);
        break;
    default:
        snprintf(hint, HINT_SIZE,
                 "the knock left from %s, which is not public: behind a router or carrier that "
                 "translates it, the server may see knock and connection come from two addresses, "
                 "and a profile with Address = signed refuses the knock", source);
    }
}

/* Tells each cause once. */
static void tell_addresses(const struct door *door, hints_teller *tell)
{
    char source[ADDRESS_TEXT_SIZE], hint[HINT_SIZE];
    const struct sending *left_open = NULL;
    unsigned told = 0; /* a bit for each cause */

    for (unsigned i = 0; i < door->count; i++) {
        const struct sending *s = &door->sendings[i];
        enum cause cause = find_cause(s);

        if (cause != NO_CAUSE && !(told & 1u << cause)) {
            told |= 1u << cause;
            write_cause(hint, cause, s, address_format(&s->source, source));
            tell(hint);
        }
        if (s->sent && !s->request.has_address && s->transport != TRANSPORT_TCP_SYN)
            left_open = s;
    }
    if (!left_open)
        return;
    /* A knock by TCP comes from where the connection does. One by another protocol need not. */
    snprintf(hint, sizeof hint,
             "the port opens to the address that the knock came from, and the network may let %s "
             "out by one public address and TCP by another: try --transport tcp-syn, if Transports "
             "on the server names it", left_open->transport == TRANSPORT_ICMP ? "pings" : "UDP");
    tell(hint);
}

static void tell_members(const struct door *door, hints_teller *tell)
{
    for (unsigned i = 0; i < door->count; i++)
        if (door->sendings[i].sent && request_names_member(&door->sendings[i].request)) {
            tell("the knock names a member of a group, as Member in the server file says: an older "
                 "portsmithd refuses that, and a newer one unless its portsmith.conf has the same "
                 "Member");
            return;
        }
}

void hints_tell(const struct door *door, int error, hints_teller *tell)
{
    tell_answer(error, tell);
    tell_clock(tell);
    tell_addresses(door, tell);
    tell_members(door, tell);
    tell("your profile on the server may have expired, or not permit this service or address; or "
         "the server is a member of a group, and the server file has no line Member for it: the "
         "log there says so");
    tell("if that log says nothing, portsmithd may not run or not listen to this transport, your "
         "profile may be revoked, or Port, PublicKey or PresharedKey here may be wrong");
}
