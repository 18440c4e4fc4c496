/* Runs a program as on a Linux before 6.9, whose tables of nf_tables cannot outlive their owner, and
 * with "old" as on one before 6.3, which removes no element that is not there. no-persist [old]
 * PROGRAM ARGUMENT...
 *
 * A process beside it looks at each send(2) of the program, and of what that starts, and makes of
 * such flags, or of such a message, one that no kernel knows. It ends with the last of them. */
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    DESTROYSETELEM = 30,
    UNKNOWN = 0x7f,
    PERSIST = 4,
    HEAD = 65536, /* bytes of a batch that are looked at: what makes a table is at its beginning */
};

static bool is_old;

static bool copy(pid_t process, uint64_t at, void *bytes, size_t size, bool in)
{
    const struct iovec here = {bytes, size}, there = {(void *)(uintptr_t)at, size};
    const ssize_t n = in ? process_vm_readv(process, &here, 1, &there, 1, 0)
                         : process_vm_writev(process, &here, 1, &there, 1, 0);

    return n == (ssize_t)size;
}

/* Changes a message; true if it did. */
static bool change(uint8_t *bytes, const struct nlmsghdr *header)
{
    const struct nlattr flags = {sizeof flags + 4, NFTA_TABLE_FLAGS};
    uint8_t *found;

    if (header->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | DESTROYSETELEM) && is_old) {
        bytes[offsetof(struct nlmsghdr, nlmsg_type)] = UNKNOWN;
        return true;
    }
    if (header->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE))
        return false;
    found = memmem(bytes, header->nlmsg_len, &flags, sizeof flags);
    if (!found || !(found[sizeof flags + 3] & PERSIST))
        return false;
    found[sizeof flags + 3] |= UNKNOWN;
    return true;
}

static void look(const struct seccomp_notif *asked)
{
    static uint8_t bytes[HEAD];
    const pid_t process = (pid_t)asked->pid;
    const uint64_t at = asked->data.args[1];
    const size_t size = asked->data.args[2] < HEAD ? (size_t)asked->data.args[2] : HEAD;
    struct nlmsghdr header;
    bool changed = false;

    if (!copy(process, at, bytes, size, true))
        return;
    for (size_t i = 0; i + sizeof header <= size; i += NLMSG_ALIGN(header.nlmsg_len)) {
        memcpy(&header, bytes + i, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > size - i)
            break;
        changed |= change(bytes + i, &header);
    }
    if (changed && !copy(process, at, bytes, size, false))
        perror("no-persist");
}

static void attend(int listener)
{
    struct seccomp_notif *asked;
    struct seccomp_notif_resp *answer;
    struct pollfd p = {.fd = listener, .events = POLLIN};

    if (seccomp_notify_alloc(&asked, &answer) != 0)
        return;
    while (poll(&p, 1, -1) == 1 && !(p.revents & POLLHUP)) {
        memset(asked, 0, sizeof *asked);
        if (seccomp_notify_receive(listener, asked) != 0)
            continue;
        look(asked);
        *answer = (struct seccomp_notif_resp){.id = asked->id,
                                              .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        seccomp_notify_respond(listener, answer);
    }
}

/* The child of this process, which is to become the program, takes the listener out of it. */
static void attend_parent(int from)
{
    const pid_t program = getppid();
    int listener, found;

    setsid();
    if (read(from, &listener, sizeof listener) != sizeof listener)
        return;
    found = (int)syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, program, 0), listener, 0);
    close(from); /* by which the program knows that it may begin */
    attend(found);
}

int main(int argc, char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int ends[2], listener;
    char byte;

    if (argc > 1 && strcmp(argv[1], "old") == 0) {
        is_old = true;
        argc--, argv++;
    }
    if (argc < 2 || !filter || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        fputs("usage: no-persist [old] PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    if (fork() == 0) {
        close(ends[0]);
        attend_parent(ends[1]);
        return 0;
    }
    close(ends[1]);
    if (seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(sendto), 0) == 0 &&
        seccomp_load(filter) == 0) {
        listener = seccomp_notify_fd(filter);
        if (write(ends[0], &listener, sizeof listener) == sizeof listener &&
            read(ends[0], &byte, 1) == 0) {
            close(listener);
            execvp(argv[1], argv + 1);
        }
    }
    perror(argv[1]);
    return 1;
}
