#include "privsep/xtables/jump.h"

#include <stdio.h>

enum restore_result jump_run(const char *path, const char *action, const struct jump *jump,
                             struct error *why)
{
    struct text text;

    text_begin(&text);
    fprintf(text.out, "*%s\n%s %s -j %s\nCOMMIT\n", jump->table, action, jump->from, jump->to);
    return restore_run_once(path, &text, why);
}
