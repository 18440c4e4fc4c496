/* Runs a program as on a host whose kernel has no IPv6: no socket of that family
 * can be made. no-ipv6 PROGRAM ARGUMENT... */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const struct scmp_arg_cmp ipv6 = {.op = SCMP_CMP_EQ, .datum_a = AF_INET6};

    if (argc < 2 || !filter ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1, ipv6) != 0 ||
        seccomp_load(filter) != 0) {
        fputs("usage: no-ipv6 PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
