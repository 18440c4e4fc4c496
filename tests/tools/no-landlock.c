/* Runs a program as on a host of Linux 5.10: the kernel has no Landlock, and close_range(2) can
 * only close. no-landlock PROGRAM ARGUMENT... */
#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static bool refuse_landlock(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_add_rule),
                                SCMP_SYS(landlock_restrict_self)};

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), calls[i], 0) != 0)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const struct scmp_arg_cmp any_flag = {.arg = 2, .op = SCMP_CMP_NE, .datum_a = 0};

    if (argc < 2 || !filter || !refuse_landlock(filter) ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(close_range), 1, any_flag) != 0 ||
        seccomp_load(filter) != 0) {
        fputs("usage: no-landlock PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
