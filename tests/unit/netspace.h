/* A network namespace for a test program: the machine's own firewall,
 * interfaces and xtables lock are out of its reach. Wants root. */
#ifndef PORTSMITH_NETSPACE_H
#define PORTSMITH_NETSPACE_H

#include "check.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* For the rest of the process's life. /run is a private one, for the lock. */
static inline int netspace_enter(void **state)
{
    signal(SIGPIPE, SIG_IGN); /* as in the helper */
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, "mode=755") != 0) {
        perror("these tests want root and namespaces");
        return -1;
    }
    return scratch_enter(state);
}

/* Another network for what comes, without rules, sets and connections: to take away what a
 * case has left would take dozens of iptables. */
static inline int netspace_renew(void)
{
    return unshare(CLONE_NEWNET);
}

/* Runs a shell command, which must succeed. */
__attribute__((format(printf, 1, 2))) static inline void run_command(const char *format, ...)
{
    char command[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

/* An interface, here, and its other end, there; both are up. */
static inline void wire_make(void)
{
    run_command("ip link add here type veth peer name there && ip link set here up && "
                "ip link set there up");
}

/* Also what a test has removed itself. */
static inline void wire_remove(void)
{
    run_command("ip link delete there 2>/dev/null || true");
}

/* What a shell command printed; the caller frees it. */
__attribute__((format(printf, 1, 2))) static inline char *output_of(const char *format, ...)
{
    char command[512], *text = NULL;
    size_t size = 0;
    FILE *from, *to;
    va_list arguments;
    int c;

    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    from = popen(command, "re");
    to = open_memstream(&text, &size);
    assert_non_null(from);
    assert_non_null(to);
    while ((c = fgetc(from)) != EOF)
        fputc(c, to);
    fclose(to);
    pclose(from);
    return text;
}

static inline bool is_readable(int fd, int milliseconds)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, milliseconds) == 1;
}

#endif
