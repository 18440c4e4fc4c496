#include "daemon/host/vrf.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/host/attribute.h"
#include "privsep/netlink.h"

struct search {
    uint32_t index; /* of the interface in question */
    bool is_vrf;
    char *members;
};

static void take_interface(void *into, struct span answer)
{
    struct search *search = into;
    struct ifinfomsg header;
    struct span found;
    const char *name, *kind;
    uint32_t master = 0;
    size_t used = strlen(search->members);

    if (answer.size < sizeof header)
        return;
    memcpy(&header, answer.bytes, sizeof header);
    found = (struct span){answer.bytes + sizeof header, answer.size - sizeof header};
    name = attribute_text(found, IFLA_IFNAME);
    kind = attribute_text(netlink_find(found, IFLA_LINKINFO), IFLA_INFO_KIND);
    netlink_read(found, IFLA_MASTER, &master, sizeof master);
    if ((uint32_t)header.ifi_index == search->index)
        search->is_vrf = kind && strcmp(kind, "vrf") == 0;
    if (master == search->index && name && used + 1 + strlen(name) < VRF_MEMBERS_SIZE)
        sprintf(search->members + used, "%s%s", used > 0 ? " " : "", name);
}

bool vrf_is(const char *interface, char members[static VRF_MEMBERS_SIZE])
{
    struct search search = {.index = if_nametoindex(interface), .members = members};
    const struct ifinfomsg all = {.ifi_family = AF_UNSPEC};
    union question q;
    int fd;

    members[0] = '\0';
    if (search.index == 0)
        return false;
    fd = netlink_open(NETLINK_ROUTE);
    netlink_begin(&q, RTM_GETLINK, NLM_F_DUMP);
    netlink_put(&q, &all, sizeof all);
    netlink_ask(&fd, &q, take_interface, &search);
    if (fd >= 0)
        close(fd);
    return search.is_vrf;
}

void vrf_find(const struct config *config, warning_taker *report, void *data)
{
    char what[160], advice[320], members[VRF_MEMBERS_SIZE];

    for (unsigned i = 0; i < config->interface_count; i++) {
        if (!vrf_is(config->interfaces[i], members))
            continue;
        snprintf(what, sizeof what, "%.15s is a VRF, where no knock can be heard: what comes in "
                                    "looks as what goes out", config->interfaces[i]);
        snprintf(advice, sizeof advice, "name the interfaces that are in it in Interface%s%.200s",
                 members[0] ? ": " : "", members);
        report(data, what, advice);
    }
}
