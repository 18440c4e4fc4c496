/* portsmith-helper(8) where grants are elements of a table of nf_tables (Backend = nftables). */
#include "privsep/helper/serve.h"

int main(int argc, char **argv)
{
    (void)argv;
    return helper_serve(argc);
}
