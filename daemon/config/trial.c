#include "daemon/config/trial.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/text/timespan.h"
#include "daemon/config/pidfile.h"

enum {
    SPAN_MIN = 10,
    POLL_MS = 50,
    PATIENCE_MS = 70000, /* more than pair.c has with a helper */
    PATH_SIZE = CONFIG_PATH_SIZE + sizeof "/trial",
    CONTENT_SIZE = BOOT_ID_SIZE + sizeof " 4194304\n", /* the largest pid: proc(5) */
};

/* ---- how long, and how to keep it ----------------------------------------- */

bool trial_parse_span(uint32_t *seconds, const char *text, struct error *why)
{
    struct error unused;

    return (timespan_parse(seconds, text, &unused) && *seconds >= SPAN_MIN &&
            *seconds <= TRIAL_SECONDS_MAX) ||
           error_set(why, "expected a time span from 10s to 24h, such as 15m, not '%.100s'", text);
}

uint32_t trial_seconds_left(int64_t end)
{
    int64_t left = end - clock_boot_ns();

    if (end == 0)
        return 0;
    return left > NSEC_PER_SEC ? (uint32_t)((left + NSEC_PER_SEC - 1) / NSEC_PER_SEC) : 1;
}

const char *trial_keep(const char *config_path, char command[static TRIAL_KEEP_SIZE])
{
    if (strcmp(config_path, CONFIG_FILE) != 0)
        snprintf(command, TRIAL_KEEP_SIZE, "portsmithd -c %s", config_path);
    else if (access("/run/systemd/system", F_OK) == 0) /* sd_booted(3) */
        strcpy(command, "systemctl enable --now portsmithd");
    else
        strcpy(command, "portsmithd");
    return command;
}

void trial_announce(const struct config *config, const char *config_path, int64_t end)
{
    time_t until = (time_t)((clock_wall_ns() + end - clock_boot_ns()) / NSEC_PER_SEC);
    char keep[TRIAL_KEEP_SIZE], service[SERVICE_TEXT_SIZE], date[64];
    struct tm local;

    strftime(date, sizeof date, "%H:%M:%S %Z", localtime_r(&until, &local));
    printf("On trial until %s, shut to all who do not knock: ", date);
    for (unsigned i = 0; i < config->shut_count; i++)
        printf("%s%s", i > 0 ? ", " : "", service_format(&config->shut[i], service));
    printf("\nLog in from elsewhere by a knock. Then keep it: %s\n"
           "Unless it is kept by then, nothing is shut any more.\n",
           trial_keep(config_path, keep));
}

/* ---- the marker --------------------------------------------------------------- */

static const char *marker_path(const struct config *c, char path[static PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/trial", c->state_directory);
    return path;
}

bool trial_write_marker(const struct config *c, struct error *why)
{
    char path[PATH_SIZE], boot_id[BOOT_ID_SIZE], content[CONTENT_SIZE];
    int size;

    if (!boot_id_read(boot_id))
        return error_set(why, "cannot read the kernel's boot id: %s", strerror(errno));
    size = snprintf(content, sizeof content, "%.*s %d\n", BOOT_ID_SIZE, boot_id, (int)getpid());
    return file_make_directory(c->state_directory, 0700, why) &&
           file_put(marker_path(c, path), 0600, content, (size_t)size, why);
}

enum trial_marker trial_parse_marker(const char *content, size_t size,
                                 const char boot_id[static BOOT_ID_SIZE], pid_t *pid)
{
    char number[CONTENT_SIZE] = "", *end;
    long long value;

    *pid = 0;
    if (size <= BOOT_ID_SIZE + 1 || size - BOOT_ID_SIZE - 1 >= sizeof number ||
        memcmp(content, boot_id, BOOT_ID_SIZE) != 0 || content[BOOT_ID_SIZE] != ' ')
        return TRIAL_OF_ANOTHER_BOOT;
    memcpy(number, content + BOOT_ID_SIZE + 1, size - BOOT_ID_SIZE - 1);
    value = strtoll(number, &end, 10);
    if (number[0] < '1' || number[0] > '9' || strcmp(end, "\n") != 0 || value > INT_MAX ||
        end + 1 - number != (ptrdiff_t)(size - BOOT_ID_SIZE - 1)) /* zeros follow */
        return TRIAL_OF_ANOTHER_BOOT;
    *pid = (pid_t)value;
    return TRIAL_OF_THIS_BOOT;
}

enum trial_marker trial_find_marker(const struct config *c, pid_t *pid)
{
    char path[PATH_SIZE], boot_id[BOOT_ID_SIZE], content[CONTENT_SIZE];
    struct error unused;
    ssize_t size;

    *pid = 0;
    errno = 0;
    size = file_read(marker_path(c, path), FILE_SECRET, content, sizeof content, &unused);
    if (size < 0)
        return errno == ENOENT ? TRIAL_NONE : TRIAL_OF_ANOTHER_BOOT;
    return boot_id_read(boot_id) ? trial_parse_marker(content, (size_t)size, boot_id, pid)
                                 : TRIAL_OF_ANOTHER_BOOT;
}

bool trial_remove_marker(const struct config *c, struct error *why)
{
    char path[PATH_SIZE];

    return file_remove(marker_path(c, path), why);
}

/* ---- the daemon on trial ------------------------------------------------------ */

pid_t trial_runs(const struct config *c)
{
    pid_t owner = pidfile_owner(c->run_directory), marked;

    if (owner == 0 || trial_find_marker(c, &marked) != TRIAL_OF_THIS_BOOT)
        return 0;
    return marked == owner ? owner : 0;
}

bool trial_take_over(const struct config *c, pid_t pid, struct error *why)
{
    if (kill(pid, SIGQUIT) != 0 && errno != ESRCH)
        return error_set(why, "cannot signal the portsmithd on trial, pid %d: %s", (int)pid,
                         strerror(errno));
    for (int waited = 0; pidfile_owner(c->run_directory) == pid; waited += POLL_MS) {
        if (waited >= PATIENCE_MS)
            return error_set(why, "the portsmithd on trial, pid %d, does not end: see the log",
                             (int)pid);
        poll(NULL, 0, POLL_MS);
    }
    return true;
}
