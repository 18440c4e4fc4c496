#include "client/counter.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/paths.h"
#include "client/platform/platform.h"
#include "common/clock.h"
#include "common/file.h"

/* Each number is as long as the one before, and is written over that. So the lock stays on the
 * file, and the file is never seen empty. */
enum { DIGITS = 20, RECORD_SIZE = DIGITS + 1 };

static bool parse_record(const char *record, size_t size, uint64_t *last)
{
    char digits[DIGITS + 1];

    if (size != RECORD_SIZE || record[DIGITS] != '\n')
        return false;
    memcpy(digits, record, DIGITS);
    digits[DIGITS] = '\0';
    if (strspn(digits, "0123456789") != DIGITS)
        return false;
    errno = 0;
    *last = strtoull(digits, NULL, 10);
    return errno == 0;
}

/* The counter that follows the record, of which `size` bytes were found in the file. */
static uint64_t next_counter(const char *record, size_t size, uint64_t now, struct error *warning)
{
    uint64_t last;

    warning->text[0] = '\0';
    if (size == 0)
        return now;
    if (!parse_record(record, size, &last)) {
        error_set(warning, "the file of the last counter was damaged; going on from the clock");
        return now;
    }
    if (last < now)
        return now;
    if (last - now <= COUNTER_SKEW)
        return last + 1;
    error_set(warning, "the clock is far behind that of your last knock; going on from the clock "
                       "(if knocks stay unanswered, check date and time)");
    return now;
}

static bool replace_record(int fd, uint64_t last)
{
    char record[RECORD_SIZE + 1];

    snprintf(record, sizeof record, "%0*" PRIu64 "\n", DIGITS, last);
    return lseek(fd, 0, SEEK_SET) == 0 && file_write_all(fd, record, RECORD_SIZE) &&
           ftruncate(fd, RECORD_SIZE) == 0 && fdatasync(fd) == 0;
}

/* Takes the counters from the file at `path`, as counter_take does. False with errno set. */
static bool take(const char *path, uint64_t now, unsigned count, uint64_t *first,
                 struct error *warning)
{
    char record[RECORD_SIZE + 1]; /* a byte more, so that a longer file is told */
    int fd = platform_open_locked(path);
    ssize_t size;
    bool ok;

    if (fd < 0)
        return false;
    size = read(fd, record, sizeof record);
    ok = size >= 0;
    if (ok) {
        *first = next_counter(record, (size_t)size, now, warning);
        ok = replace_record(fd, *first + count - 1);
    }
    if (ok && size == 0)
        ok = file_sync_directory_of(path); /* the file is new: its name must last too */
    close(fd); /* unlocks */
    return ok;
}

/* As counter_take. `elsewhere` is where else the counter could be kept, to be put behind the
 * reason. */
static bool take_from(const char *directory, const char *elsewhere, uint64_t now, unsigned count,
                      uint64_t *first, struct error *warning, struct error *why)
{
    char path[PATH_MAX];

    if (!file_make_directory(directory, 0700, why) || !path_join(path, directory, "counter", "", why))
        return false;
    return take(path, now, count, first, warning) ||
           error_set(why, "%s: %s; no knock is sent unless the last counter can be kept there%s",
                     path, file_explain(errno), elsewhere);
}

bool counter_take(const char *directory, uint64_t now, unsigned count, uint64_t *first,
                  struct error *warning, struct error *why)
{
    return take_from(directory, "", now, count, first, warning, why);
}

bool counter_take_own(unsigned count, uint64_t *first, struct error *warning, struct error *why)
{
    char directory[PATH_MAX];

    return path_state_directory(directory, why) &&
           take_from(directory, ", or below XDG_STATE_HOME", clock_wall_us(), count, first, warning,
                     why);
}

bool counter_last_own(uint64_t *last)
{
    char directory[PATH_MAX], path[PATH_MAX], record[RECORD_SIZE + 1];
    struct error unused;
    ssize_t size = -1;
    int fd;

    if (!path_state_directory(directory, &unused) ||
        !path_join(path, directory, "counter", "", &unused))
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        size = read(fd, record, sizeof record);
        close(fd);
    }
    return size >= 0 && parse_record(record, (size_t)size, last);
}
