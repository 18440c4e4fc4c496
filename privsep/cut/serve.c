#include "privsep/cut/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "privsep/cut/confine.h"

/* Receives doors until end of file; or the one that the kernel is asked about. Returns 0 or an
 * errno. */
static int receive(struct doors *doors, int supervisor)
{
    struct cut_door door;
    ssize_t n;

    while ((n = recv(supervisor, &door, sizeof door, MSG_TRUNC)) > 0) {
        if (n != sizeof door || !doors_add(doors, &door))
            return EPROTO;
        if (door.deed == CUT_ASK)
            return doors->count == 1 && door.id != 0 ? 0 : EPROTO;
    }
    if (n < 0)
        return errno;
    return doors->count > 0 ? 0 : EPROTO;
}

void cut_do(struct cut *cut, int supervisor, int news, struct cut_result *result)
{
    static struct doors doors;

    doors.count = 0;
    *result = (struct cut_result){.trouble = CUT_BROKEN,
                                  .error = (uint32_t)receive(&doors, supervisor)};
    if (result->error != 0)
        return;
    if (doors.items[0].deed == CUT_ASK)
        cut_ask(news, &doors.items[0], result);
    else
        cut_connections(cut, &doors, clock_boot_ns() + (int64_t)CUT_SECONDS * NSEC_PER_SEC,
                        result);
}

int cut_serve(void)
{
    struct cut_result result = {.trouble = CUT_BROKEN, .error = EPERM};
    struct error why;
    struct cut cut;

    setsid();
    alarm(CUT_LIFE_SECONDS);
    cut_open(&cut);
    if (cut_confine(&why))
        cut_do(&cut, CUT_FD_SUPERVISOR, CUT_FD_NEWS, &result);
    else
        log_warnx("%s", why.text);
    return send(CUT_FD_SUPERVISOR, &result, sizeof result, MSG_NOSIGNAL) == sizeof result
               ? EXIT_SUCCESS
               : EXIT_FAILURE;
}
