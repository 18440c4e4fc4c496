#include "daemon/portsmith-firewall/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/file.h"
#include "common/text/settings.h"
#include "daemon/config/profile.h"

#define SECTION "Firewall"

enum {
    PATH_SIZE = CONFIG_PATH_SIZE + sizeof "/firewall.lock",
    CONTENT_SIZE = SHUT_SERVICES * (SERVICE_TEXT_SIZE + 10) + 100,
    LAST_SECOND = INT32_MAX, /* the last one a rule can name (iptables-extensions(8), time) */
};

struct parsed {
    struct ruleset rules;
    int64_t until;
};

static bool set_allow(void *into, const char *value, struct error *why)
{
    struct parsed *p = into;

    return ruleset_allow(&p->rules, value, why);
}

static bool set_until(void *into, const char *value, struct error *why)
{
    struct parsed *p = into;
    char *end;

    errno = 0;
    p->until = strtoll(value, &end, 10);
    return (errno == 0 && p->until > 0 && p->until <= LAST_SECOND && end != value &&
            *end == '\0') ||
           error_set(why, "expected seconds since the epoch, until 2038, not '%.100s'", value);
}

static const struct setting settings[] = {{"Allow", set_allow, true}, {"Until", set_until, false}};

static const struct settings_table table = {SECTION, settings, sizeof settings / sizeof *settings,
                                            NULL, NULL};

static void confirmed_path(char path[static PATH_SIZE], const struct config *c)
{
    snprintf(path, PATH_SIZE, "%s/firewall", c->state_directory);
}

static void trial_path(char path[static PATH_SIZE], const struct config *c)
{
    snprintf(path, PATH_SIZE, "%s/firewall", c->run_directory);
}

int saved_lock(const struct config *c, struct error *why)
{
    char path[PATH_SIZE];
    int fd;

    snprintf(path, sizeof path, "%s/firewall.lock", c->run_directory);
    if (!file_make_directory(c->run_directory, 0755, why))
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX) == 0)
        return fd;
    error_set(why, "%s: %s", path, file_explain(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Reads one of the files; *exists: it is there. False with the reason where it is there but
 * cannot be used. */
static bool read_one(const char *path, struct parsed *p, bool *exists, struct error *why)
{
    *p = (struct parsed){0};
    errno = 0;
    *exists = settings_read(path, FILE_CONFIGURATION, &table, p, NULL, why);
    return *exists || errno == ENOENT;
}

bool saved_read(struct plan *plan, const struct config *c, struct error *why)
{
    char path[PATH_SIZE];
    struct parsed p;

    memset(plan, 0, sizeof *plan);
    confirmed_path(path, c);
    if (!read_one(path, &p, &plan->is_confirmed, why))
        return false;
    plan->confirmed = p.rules;
    trial_path(path, c);
    if (!read_one(path, &p, &plan->on_trial, why))
        return false;
    plan->trial = p.rules;
    plan->until = p.until;
    return true;
}

/* Writes one of the files, as read_one reads it. `until` is 0 for what is confirmed. */
static bool put_file(const char *path, const struct ruleset *rules, int64_t until,
                     struct error *why)
{
    char content[CONTENT_SIZE];
    FILE *out = fmemopen(content, CONTENT_SIZE, "w");
    long size;

    if (!out)
        return error_set(why, "%s: no memory", path);
    fprintf(out, "[" SECTION "]\n");
    profile_print_services("Allow", rules->allow, rules->count, out);
    if (until > 0)
        fprintf(out, "Until = %lld\n", (long long)until);
    size = ftell(out);
    if (fclose(out) != 0 || size <= 0)
        return error_set(why, "%s: no memory", path);
    return file_put(path, 0600, content, (size_t)size, why);
}

bool saved_write(const struct plan *plan, const struct config *c, struct error *why)
{
    char confirmed[PATH_SIZE], trial[PATH_SIZE];

    confirmed_path(confirmed, c);
    trial_path(trial, c);
    if (plan->is_confirmed && !file_make_directory(c->state_directory, 0700, why))
        return false;
    return (plan->is_confirmed ? put_file(confirmed, &plan->confirmed, 0, why)
                               : file_remove(confirmed, why)) &&
           (plan->on_trial ? put_file(trial, &plan->trial, plan->until, why)
                           : file_remove(trial, why));
}
