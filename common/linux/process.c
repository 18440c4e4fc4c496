#include "common/linux/process.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

bool process_forbid_core_dumps(struct error *why)
{
    static const struct rlimit none = {0, 0};

    return (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0) ||
           error_set(why, "cannot forbid core dumps: %s", strerror(errno));
}
