#include "daemon/host/warning.h"

#include <stdio.h>

#include "common/log.h"
#include "common/text/command.h"

void warning_log(void *unused, const char *what, const char *advice)
{
    (void)unused;
    log_warnx("%s: %s", what, advice);
}

void warning_print(void *unused, const char *what, const char *advice)
{
    (void)unused;
    command_warn("warning: %s: %s", what, advice);
}

void warning_of_old_words(const struct settings_notes *notes, warning_taker *report, void *data)
{
    char what[60];

    for (unsigned i = 0; i < notes->count && i < SETTINGS_NOTES; i++)
        report(data, notes->first[i].what, notes->first[i].advice);
    if (notes->count <= SETTINGS_NOTES)
        return;
    snprintf(what, sizeof what, "%u more old words", notes->count - SETTINGS_NOTES);
    report(data, what, "change these, and then look for more: portsmithd -t");
}
