/* For tests of a process that gives up what it could do. */
#ifndef PORTSMITH_APART_H
#define PORTSMITH_APART_H

#include "check.h"

#include <sys/wait.h>

/* Does `act`, which ends by _exit, and ends as it did. By vfork: so that what a build for
 * coverage counts is in this process's memory, which may still write it down. */
static inline _Noreturn void end_as_confined(void (*act)(void))
{
    int status;
    pid_t child = vfork();

    if (child == 0)
        act();
    waitpid(child, &status, 0);
    child_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* What a process exited with, which ends by itself. */
static inline int exit_status_of(pid_t process)
{
    int status;

    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#endif
