#include "privsep/prepare/drop.h"

#include <cap-ng.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#include "common/linux/process.h"

/* Whether the kernel's sets hold the wanted capabilities, and no others. libcap-ng may report
 * success where they do not (its issue #19). */
static bool is_exactly(bool raw)
{
    static const capng_type_t sets[] = {CAPNG_EFFECTIVE, CAPNG_PERMITTED, CAPNG_INHERITABLE,
                                        CAPNG_BOUNDING_SET};

    capng_clear(CAPNG_SELECT_ALL);
    if (capng_get_caps_process() != 0)
        return false;
    for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++) {
        int wanted = cap == CAP_NET_ADMIN || (raw && cap == CAP_NET_RAW);

        for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
            if (capng_have_capability(sets[i], cap) != wanted)
                return false;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
            return false;
    }
    return true;
}

bool helper_drop(bool raw, struct error *why)
{
    const capng_type_t sets =
        CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_BOUNDING_SET;

    if (!process_forbid_core_dumps(why))
        return false;
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_update(CAPNG_ADD, sets, CAP_NET_ADMIN) != 0 ||
        (raw && capng_update(CAPNG_ADD, sets, CAP_NET_RAW) != 0) ||
        capng_apply(CAPNG_SELECT_BOTH) != 0)
        return error_set(why, "cannot give up capabilities");
    if (!is_exactly(raw))
        return error_set(why, "the kernel kept capabilities that were given up");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return error_set(why, "cannot set no_new_privs: %s", strerror(errno));
    return true;
}
