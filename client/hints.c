#include "hints.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "timekeeping.h"

enum { HINT_SIZE = 512 };

static void tell_answer(int error, hints_teller *tell)
{
    char text[HINT_SIZE];

    if (error == ECONNREFUSED)
        tell("connections were refused: the server resets those to its shut ports, or nothing "
             "listens there");
    else if (error != 0) {
        snprintf(text, sizeof text, "connections failed: %s", strerror(error));
        tell(text);
    } else
        tell("nothing answered; a firewall on the way may stop the knock");
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

/* False if the address is no likely cause. */
static bool tell_address(const struct sending *s, hints_teller *tell)
{
    char source_text[ADDRESS_TEXT_SIZE], signed_text[ADDRESS_TEXT_SIZE];
    char hint[HINT_SIZE];
    struct address source;
    struct error unused;
    int fd = s->sent ? target_connect(&s->target, &source, &unused) : -1;

    if (fd < 0)
        return false;
    close(fd);
    address_format(&source, source_text);
    if (s->request.has_address && !address_equal(&s->request.address, &source)) {
        snprintf(hint, sizeof hint,
                 "the knock opens to %s, but connections from here leave from %s; see --address",
                 address_format(&s->request.address, signed_text), source_text);
        tell(hint);
        return true;
    }
    if (s->request.has_address || address_is_global(&source))
        return false;
    snprintf(hint, sizeof hint,
             "the knock left from %s, which is not public: behind a router or carrier that "
             "translates it, the server may see knock and connection come from two addresses, "
             "and a profile that wants the address signed refuses", source_text);
    tell(hint);
    return true;
}

void hints_tell(const struct door *door, int error, hints_teller *tell)
{
    bool told = false;

    tell_answer(error, tell);
    tell_clock(tell);
    for (unsigned i = 0; i < door->count && !told; i++)
        told = tell_address(&door->sendings[i], tell);
    tell("your profile on the server may have expired, or not permit this service or address; the "
         "log of portsmithd there says so");
    tell("if that log says nothing, portsmithd may not run or not listen to this transport, your "
         "profile may be revoked, or Port, PublicKey or PresharedKey here be wrong");
}
