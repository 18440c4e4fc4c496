/* portsmith-helper(8): the part with power over the firewall. It inserts and expires rules and
 * knows how to do nothing else. This program keeps all grants as rules; portsmith-helper-sets is
 * the same with sets. */
#include "privsep/helper/serve.h"
#include "privsep/helper/set.h"

const struct store *const helper_sets = NULL;

int main(int argc, char **argv)
{
    (void)argv;
    return helper_serve(argc);
}
