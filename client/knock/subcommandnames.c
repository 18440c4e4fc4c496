#include "client/knock/subcommandnames.h"

#include <stddef.h>
#include <string.h>

#include "common/text/nearest.h"

static const char *const names[SUBCOMMANDS] = {
    [SUBCOMMAND_EXPORT] = "export", [SUBCOMMAND_IMPORT] = "import", [SUBCOMMAND_KEYGEN] = "keygen",
    [SUBCOMMAND_LIST] = "list",     [SUBCOMMAND_PUBKEY] = "pubkey", [SUBCOMMAND_SHOW] = "show",
};

enum subcommand subcommand_find(const char *word)
{
    unsigned i = 0;

    while (i < SUBCOMMANDS && strcmp(names[i], word) != 0)
        i++;
    return (enum subcommand)i;
}

bool subcommand_exists(const char *word)
{
    return subcommand_find(word) != SUBCOMMANDS;
}

const char *subcommand_near(const char *word)
{
    struct nearest nearest = nearest_to(word);

    for (unsigned i = 0; i < SUBCOMMANDS; i++)
        nearest_try(&nearest, names[i]);
    return nearest.found;
}
