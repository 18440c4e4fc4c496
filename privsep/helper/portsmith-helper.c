/* portsmith-helper(8): the part with power over the firewall. It inserts and expires rules and
 * knows how to do nothing else. */
#include <stdio.h>

#include "privsep/helper/serve.h"

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        fputs("portsmith-helper takes no arguments: it is started by portsmithd, see "
              "portsmith-helper(8)\n",
              stderr);
        return 2;
    }
    return helper_serve();
}
