/* portsmith-helper(8) where grants are kept in sets (GrantStore = set). */
#include "privsep/helper/serve.h"

int main(int argc, char **argv)
{
    (void)argv;
    return helper_serve(argc);
}
