/* Runs a program as on a host that makes no files in memory but those that cannot be executed
 * (vm.memfd_noexec=2, since Linux 6.3). noexec-memory PROGRAM ARGUMENT... */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

enum { NOEXEC_SEAL = 0x8 }; /* MFD_NOEXEC_SEAL */

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const struct scmp_arg_cmp other = {
        .arg = 1, .op = SCMP_CMP_MASKED_EQ, .datum_a = NOEXEC_SEAL, .datum_b = 0};

    if (argc < 2 || !filter ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(memfd_create), 1, other) != 0 ||
        seccomp_load(filter) != 0) {
        fputs("usage: noexec-memory PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
