#include "daemon/host/warning.h"

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
