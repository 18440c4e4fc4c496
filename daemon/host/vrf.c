#include "daemon/host/vrf.h"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct search {
    uint32_t index; /* of the interface in question */
    bool is_vrf;
    char *members;
};

/* What the kernel tells of one interface. NULL: it has no such trait. */
struct traits {
    const char *name, *kind;
    uint32_t master;
};

/* The attribute's text, or NULL if that is not zero-terminated. */
static const char *text_in(const struct nlattr *attribute)
{
    return mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(attribute)
                                                                  : NULL;
}

static int take_kind(const struct nlattr *attribute, void *data)
{
    struct traits *traits = data;

    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
        traits->kind = text_in(attribute);
    return MNL_CB_OK;
}

static int take_trait(const struct nlattr *attribute, void *data)
{
    struct traits *traits = data;

    switch (mnl_attr_get_type(attribute)) {
    case IFLA_IFNAME:
        traits->name = text_in(attribute);
        break;
    case IFLA_MASTER:
        if (mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
            traits->master = mnl_attr_get_u32(attribute);
        break;
    case IFLA_LINKINFO:
        mnl_attr_parse_nested(attribute, take_kind, traits);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int take_interface(const struct nlmsghdr *message, void *data)
{
    const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
    struct search *search = data;
    struct traits traits = {0};
    size_t used = strlen(search->members);

    if (message->nlmsg_type != RTM_NEWLINK ||
        mnl_nlmsg_get_payload_len(message) < sizeof *header ||
        mnl_attr_parse(message, sizeof *header, take_trait, &traits) < 0)
        return MNL_CB_OK;
    if ((uint32_t)header->ifi_index == search->index)
        search->is_vrf = traits.kind && strcmp(traits.kind, "vrf") == 0;
    if (traits.master == search->index && traits.name &&
        used + 1 + strlen(traits.name) < VRF_MEMBERS_SIZE)
        sprintf(search->members + used, "%s%s", used > 0 ? " " : "", traits.name);
    return MNL_CB_OK;
}

bool vrf_is(const char *interface, char members[static VRF_MEMBERS_SIZE])
{
    struct search search = {.index = if_nametoindex(interface), .members = members};
    struct mnl_socket *socket = NULL;
    unsigned sequence = (unsigned)time(NULL);
    char question[64]; /* two headers of 16 bytes */
    struct nlmsghdr *message = mnl_nlmsg_put_header(question);
    char answer[32768]; /* the kernel makes no part of an answer larger */
    ssize_t n;

    members[0] = '\0';
    if (search.index != 0)
        socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!socket)
        return false;
    message->nlmsg_type = RTM_GETLINK;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message->nlmsg_seq = sequence;
    mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 &&
        mnl_socket_sendto(socket, message, message->nlmsg_len) >= 0)
        while ((n = mnl_socket_recvfrom(socket, answer, sizeof answer)) > 0)
            if (mnl_cb_run(answer, (size_t)n, sequence, mnl_socket_get_portid(socket),
                           take_interface, &search) <= MNL_CB_STOP)
                break;
    mnl_socket_close(socket);
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
