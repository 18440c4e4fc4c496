#include "privsep/helper/narrow.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool enter_landlock(void)
{
    bool done;

    if (fcntl(HELPER_FD_LANDLOCK, F_GETFD) < 0) /* the kernel has no Landlock */
        return true;
    done = syscall(SYS_landlock_restrict_self, HELPER_FD_LANDLOCK, 0) == 0;
    close(HELPER_FD_LANDLOCK);
    return done;
}

/* The kernel copies the filter, which it does not change. */
static bool enter_filter(const struct plan *plan)
{
    size_t count;
    const struct sock_filter *code = plan_part(plan, &plan->filter, sizeof *code, &count);
    const struct sock_fprog program = {(unsigned short)count,
                                       (struct sock_filter *)(uintptr_t)code};

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

bool helper_narrow(const struct plan *plan, struct error *why)
{
    return (enter_landlock() && enter_filter(plan)) ||
           error_set(why, "cannot give up what is no longer needed: %s", strerror(errno));
}
