#include "daemon/portsmithctl/rules.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/privilege/capability.h"
#include "common/text/command.h"
#include "daemon/ask/ask.h"
#include "daemon/ask/report.h"
#include "daemon/host/copies.h"
#include "privsep/backend.h"

/* Which back end is in use. The exit status of the program, having said why, where it is not
 * known; else EXIT_SUCCESS. */
static int find_backend(const struct config *config, enum backend *backend)
{
    static const struct control_request request = {.verb = CONTROL_STATUS};
    static struct control_reply reply;
    enum ask_result result;
    struct error why;

    *backend = config->backend;
    if (*backend != BACKEND_AUTO)
        return EXIT_SUCCESS;
    result = ask(config, &request, &reply, &why);
    if (result == ASK_NOT_RUNNING)
        return command_fail(EXIT_NOT_RUNNING, "with Backend = auto the rules are for the back end "
                                              "that a running portsmithd uses: start it, or set "
                                              "Backend");
    if (result != ASK_DONE)
        return command_fail(EXIT_FAILURE, why.text);
    *backend = reply.status.backend;
    return EXIT_SUCCESS;
}

static void warn(void *unused, const char *what, const char *advice)
{
    (void)unused;
    command_warn("%s: %s", what, advice);
}

static json_t *peers_of(const struct copies *copies)
{
    json_t *peers = json_array();
    char address[ADDRESS_TEXT_SIZE], mac[NEIGHBOUR_MAC_TEXT_SIZE];

    for (size_t i = 0; i < copies->peer_count; i++) {
        const struct copies_peer *peer = &copies->peers[i];

        json_array_append_new(
            peers, json_pack("{s:s, s:s, s:s, s:s}", "name", peer->name, "address",
                             address_format(&peer->at.address, address), "mac",
                             neighbour_format_mac(&peer->at, mac), "interface",
                             peer->at.interface));
    }
    return peers;
}

static int print_json(const struct copies *copies)
{
    char *script = NULL;
    size_t size;
    FILE *out = open_memstream(&script, &size);
    int status;

    if (!out)
        return command_fail(EXIT_FAILURE, "no memory for the rules");
    copies_print(copies, out);
    fclose(out);
    status = report_print_whole(json_pack("{s:s, s:o, s:s}", "backend",
                                          backend_name(copies->backend), "peers",
                                          peers_of(copies), "script", script));
    free(script);
    return status;
}

static int show(const struct config *config, bool json)
{
    static struct copies copies;
    enum backend backend;
    bool is_complete;
    int status;

    if (config->shared_count == 0)
        return command_fail(EXIT_FAILURE, "this host's group has no address that stands for all "
                                          "members: there is nothing to copy. If it has one, name "
                                          "it as SharedAddress in portsmith.conf");
    status = find_backend(config, &backend);
    if (status != EXIT_SUCCESS)
        return status;
    is_complete = copies_find(&copies, config, backend, warn, NULL);
    for (size_t i = 0; i < copies.peer_count; i++)
        is_complete &= !copies.peers[i].is_silent;
    if (!is_complete)
        return EXIT_FAILURE;
    if (json)
        return print_json(&copies);
    copies_print(&copies, stdout);
    return command_finish(EXIT_SUCCESS);
}

int rules_show(const char *config_path, bool json)
{
    struct config *config;
    struct error why;
    int status;

    if (!capability_check(CAPABILITY_FIREWALL, &why))
        return command_fail(EXIT_FAILURE, why.text);
    if (sodium_init() < 0)
        return command_fail(EXIT_FAILURE, "libsodium cannot be initialized");
    config = config_load(config_path, &why);
    if (!config)
        return command_fail(EX_CONFIG, why.text);
    status = show(config, json);
    config_free(config);
    return status;
}
