#include "daemon/host/warning.h"

#include "common/log.h"

void warning_log(void *unused, const char *what, const char *advice)
{
    (void)unused;
    log_warnx("%s: %s", what, advice);
}
