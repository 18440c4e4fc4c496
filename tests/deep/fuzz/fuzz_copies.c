/* What iptables-save or nft says of the rules that copy knocks, over IPv4 and then over IPv6, parted by
 * a line of "%%". The first byte is that of the back end. */
#include "fuzz.h"

#include "daemon/host/copies.h"
#include "daemon/host/tool.h"

static struct input left;

bool __wrap_tool_run(struct tool *tool, const char *path, const char *const *arguments,
                     const char *input, struct error *why);

/* A part without a byte is a program that fails. */
bool __wrap_tool_run(struct tool *tool, const char *path, const char *const *arguments,
                     const char *input, struct error *why)
{
    struct input part = input_part(&left);

    (void)path, (void)arguments, (void)input, (void)why;
    *tool = (struct tool){.said = input_text(&part), .status = part.size == 0};
    return true;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

static void count_report(void *data, const char *what, const char *advice)
{
    unsigned *count = data;

    REQUIRE(what[0] && advice[0]);
    (*count)++;
}

/* What is printed for one peer that answers and one that does not, without the script's own lines. */
static void make(struct copies *copies, const struct config *config, enum backend backend)
{
    *copies = (struct copies){.config = config, .backend = backend};
    for (unsigned i = 0; i < 4; i++) {
        struct copies_peer *peer = &copies->peers[copies->peer_count++];

        *peer = (struct copies_peer){.name = i % 2 ? "c" : "b", .is_silent = i % 2};
        peer->at.address = i < 2 ? address_from_ipv4((const uint8_t[]){192, 0, 2, (uint8_t)(2 + i)})
                                 : (struct address){{0xfd, [15] = (uint8_t)i}};
        strcpy(peer->at.interface, "lo");
        memset(peer->at.mac, 0xab, sizeof peer->at.mac);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct config config = {
        .interfaces = {"lo"}, .interface_count = 1, .ports = {4000, 4001}, .port_count = 2,
        .transports = 1u << TRANSPORT_UDP | 1u << TRANSPORT_ICMP, .shared_count = 2};
    static struct copies copies;
    struct input in = {bytes, size};
    const bool is_nftables = input_byte(&in) == 'n';
    unsigned count = 0;

    config.shared[0] = address_from_ipv4((const uint8_t[]){192, 0, 2, 9});
    config.shared[1] = (struct address){{0xfd, [15] = 9}};
    make(&copies, &config, is_nftables ? BACKEND_NFTABLES : BACKEND_NFT);
    left = in;
    copies_check(&copies, count_report, &count);
    REQUIRE(count <= FAMILIES);
    return 0;
}
