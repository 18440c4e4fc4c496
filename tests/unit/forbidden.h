/* For tests of what a process may do no longer: children that try. */
#ifndef PORTSMITH_FORBIDDEN_H
#define PORTSMITH_FORBIDDEN_H

#include "check.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "common/privilege/syscalls.h"

enum { CHILD_OK = 42, CHILD_UNCONFINED = 43 };

/* The wait status of a child that does `act` once it is confined. */
static inline int confined(bool (*confine)(void), void (*act)(void))
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (!confine())
            _exit(CHILD_UNCONFINED);
        act();
        _exit(CHILD_OK);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* The kernel ended it, or, in a debug build, the handler that names the call. Where that handler
 * may not write, the kernel ends it all the same. */
static inline bool was_killed(int status)
{
#ifdef PORTSMITH_NAME_CALLS
    if (WIFEXITED(status) && WEXITSTATUS(status) == SYSCALLS_EXIT_STATUS)
        return true;
#endif
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static inline bool went_well(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == CHILD_OK;
}

#endif
