/* Runs a program as on a host whose kernel has no netlink socket of netfilter, and so neither
 * nftables nor sets nor news of connections. no-nfnetlink PROGRAM ARGUMENT... */
#include <errno.h>
#include <linux/netlink.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const struct scmp_arg_cmp netfilter[] = {
        {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_NETLINK},
        {.arg = 2, .op = SCMP_CMP_EQ, .datum_a = NETLINK_NETFILTER},
    };

    if (argc < 2 || !filter ||
        seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket), 2,
                               netfilter) != 0 ||
        seccomp_load(filter) != 0) {
        fputs("usage: no-nfnetlink PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
