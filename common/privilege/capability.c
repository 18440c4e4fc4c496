#include "common/privilege/capability.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* CAP_KILL is missing on purpose: all that its lack does is to leave a sniffer that hangs
 * behind. */
static const struct {
    unsigned number;
    const char *name;
    enum capability_use from; /* the first use that takes it */
} capabilities[] = {
    {CAP_NET_ADMIN, "CAP_NET_ADMIN", CAPABILITY_FIREWALL},
    {CAP_NET_RAW, "CAP_NET_RAW", CAPABILITY_DAEMON},
    {CAP_SETUID, "CAP_SETUID", CAPABILITY_DAEMON},
    {CAP_SETGID, "CAP_SETGID", CAPABILITY_DAEMON},
    {CAP_SETPCAP, "CAP_SETPCAP", CAPABILITY_DAEMON},
    {CAP_SYS_CHROOT, "CAP_SYS_CHROOT", CAPABILITY_DAEMON},
};

enum { CAPABILITIES = sizeof capabilities / sizeof *capabilities, NAMES_SIZE = 128 };

/* The effective capabilities, a bit each: all that matter here have numbers below 32. If they
 * cannot be asked for, all bits are set, and what then fails says so itself. */
static uint32_t effective(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    return syscall(SYS_capget, &header, data) == 0 ? data[0].effective : ~0u;
}

/* Whether our capabilities count for this network namespace. They do not if a user namespace
 * beyond ours owns it, which ioctl_ns(2) then refuses to show. */
static bool owns_network(void)
{
    int network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int owner = network < 0 ? -1 : ioctl(network, NS_GET_USERNS);
    bool is_beyond = network >= 0 && owner < 0 && errno == EPERM;

    if (owner >= 0)
        close(owner);
    if (network >= 0)
        close(network);
    return !is_beyond;
}

bool capability_check(enum capability_use use, struct error *why)
{
    uint32_t have = effective();
    char missing[NAMES_SIZE] = "";

    if (geteuid() != 0)
        return error_set(why, "must be run as root");
    for (size_t i = 0; i < CAPABILITIES; i++) {
        size_t used = strlen(missing);

        if (capabilities[i].from <= use && !(have & 1u << capabilities[i].number))
            snprintf(missing + used, sizeof missing - used, "%s%s", used > 0 ? ", " : "",
                     capabilities[i].name);
    }
    if (missing[0] == '\0' && !owns_network())
        return error_set(why, "root of this user namespace has no rights over this network "
                              "namespace: run it outside, or with a network of its own");
    return missing[0] == '\0' ||
           error_set(why, "root lacks %s here: have whoever starts this give it "
                          "(CapabilityBoundingSet of a unit, --cap-add of a container)", missing);
}
