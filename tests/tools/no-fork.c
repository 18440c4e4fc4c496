/* Runs a program as on a host that has no room for another process: fork(2) fails, and
 * posix_spawn(3), which shares memory at first, does not. no-fork PROGRAM ARGUMENT... */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const struct scmp_arg_cmp fork_like = {
        .arg = 0, .op = SCMP_CMP_MASKED_EQ, .datum_a = CLONE_VM, .datum_b = 0};

    if (argc < 2 || !filter ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAGAIN), SCMP_SYS(clone), 1, fork_like) != 0 ||
        seccomp_load(filter) != 0) {
        fputs("usage: no-fork PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
