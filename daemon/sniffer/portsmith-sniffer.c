/* portsmith-sniffer(8): the program that reads the network. It hands authentic knocks to the
 * helper and can do nothing else. */
#include <stdio.h>

#include "daemon/sniffer/sniffer.h"

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        fputs("portsmith-sniffer takes no arguments: it is started by portsmithd, see "
              "portsmith-sniffer(8)\n",
              stderr);
        return 2;
    }
    sniffer_run();
}
