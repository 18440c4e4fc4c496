/* portsmith-witness(8): the program that sees what the helper does, and what comes of it. It writes
 * the log and counts connections, and can open nothing. */
#include <stdio.h>

#include "daemon/witness/witness.h"

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        fputs("portsmith-witness takes no arguments: it is started by portsmithd, see "
              "portsmith-witness(8)\n",
              stderr);
        return 2;
    }
    witness_run();
}
