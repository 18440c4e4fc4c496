/* portsmith-helper(8): the part with power over the firewall. It inserts and expires rules and
 * knows how to do nothing else. This program keeps all grants as rules; portsmith-helper-sets is
 * the same with sets. So nothing of this is called but what opens and closes. */
#include "privsep/helper/serve.h"
#include "privsep/helper/set.h"

void ipset_open(struct ipset *set, size_t capacity)
{
    (void)capacity;
    set->fd = -1;
}

void ipset_close(struct ipset *set)
{
    (void)set;
}

bool helper_set_holds(const struct grant *grant)
{
    (void)grant;
    return false;
}

bool helper_set_fill(struct ipset *set, enum family family, const struct grants *grants,
                     struct error *why)
{
    (void)set, (void)family, (void)grants;
    return error_set(why, "this program keeps no grants in sets");
}

bool helper_set_update(struct ipset *set, enum family family, const struct grants *grants,
                       struct error *why)
{
    return helper_set_fill(set, family, grants, why);
}

bool helper_set_remove(struct ipset *set, enum family family, struct error *why)
{
    (void)set, (void)family, (void)why;
    return true;
}

int main(int argc, char **argv)
{
    (void)argv;
    return helper_serve(argc);
}
