/* portsmith-cut: ends connections, or asks the kernel for them, once and for the supervisor. */
#include <fcntl.h>
#include <stdio.h>

#include "privsep/cut/serve.h"

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1 || fcntl(CUT_FD_SUPERVISOR, F_GETFD) < 0) {
        fputs("portsmith-cut is started by portsmithd, never by hand: see portsmith-cut(8)\n",
              stderr);
        return 2;
    }
    return cut_serve();
}
