/* portsmith-prepare(8): what is done once before the helper serves. Then it executes
 * portsmith-helper(8). */
#include <stdio.h>

#include "privsep/prepare/prepare.h"

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        fputs("portsmith-prepare takes no arguments: it is started by portsmithd, see "
              "portsmith-prepare(8)\n",
              stderr);
        return 2;
    }
    return helper_prepare();
}
