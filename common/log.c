#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/printable.h"

enum {
    PATIENCE = 1,        /* seconds that a log which does not read may hold us up, ... */
    PATIENCE_SHARE = 60, /* ... and this fraction of all time */
};

/* Where the system's log may listen, in order of preference. A syslogd takes messages
 * of either type; syslog(3) tries them in this order, too. */
static const struct place {
    const char *path;
    int type;
    bool takes_fields; /* the journal's own protocol */
} places[] = {
    {"/run/systemd/journal/socket", SOCK_DGRAM, true},
    {"/dev/log", SOCK_DGRAM, false},
    {"/dev/log", SOCK_STREAM, false},
};

enum { PLACES = sizeof places / sizeof *places };

static struct {
    const char *process;
    bool foreground;
    bool debug;
    int system_log; /* connected socket, or -1, ... */
    const struct place *place; /* ... to this */
    int64_t waited;     /* for it, nanoseconds; forgiven as time passes, ... */
    int64_t waited_at;  /* ... since then; CLOCK_BOOTTIME */
    unsigned long lost; /* lines that it did not take, of which it was not told */
} logging = {.process = "portsmith", .foreground = true, .system_log = -1};

static const struct log_about nothing;

bool log_standard_error_is_the_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char ours[64];
    struct stat s;

    if (!stream || fstat(STDERR_FILENO, &s) != 0)
        return false;
    snprintf(ours, sizeof ours, "%ju:%ju", (uintmax_t)s.st_dev, (uintmax_t)s.st_ino);
    return strcmp(stream, ours) == 0;
}

/* The service manager holds the journal's end while that starts anew. */
static int connect_to(const struct place *place)
{
    static const struct timeval patience = {.tv_sec = PATIENCE};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, place->type | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, place->path);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void close_system_log(void)
{
    if (logging.system_log >= 0)
        close(logging.system_log);
    logging.system_log = -1;
}

static bool find_system_log(void)
{
    close_system_log();
    for (int i = 0; i < PLACES && logging.system_log < 0; i++) {
        logging.place = &places[i];
        logging.system_log = connect_to(logging.place);
    }
    return logging.system_log >= 0;
}

void log_open(const char *process, bool foreground, bool debug)
{
    logging.process = process;
    logging.foreground = foreground;
    logging.debug = debug;
    logging.lost = 0; /* the process before tells */
    close_system_log();
    if (foreground)
        return;
    tzset(); /* while the time zone's file can still be read */
    find_system_log();
}

/* One write a line, so that lines of several processes do not mix. */
static void write_to_standard_error(int priority, const char *text)
{
    char line[1200];
    int n = snprintf(line, sizeof line, "<%d>%s[%ld]: %s\n", priority, logging.process,
                     (long)getpid(), text);

    if (n >= (int)sizeof line) {
        n = sizeof line - 1;
        line[n - 1] = '\n';
    }
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        (void)0; /* there is nowhere left to say it */
}

struct entry {
    char text[2560];
    size_t size;
};

/* A field that does not fit is left out, whole. */
static void add_field(struct entry *entry, const char *name, const char *value)
{
    size_t room = sizeof entry->text - entry->size;
    char *start = entry->text + entry->size;
    int n = value ? snprintf(start, room, "%s=%s", name, value) : -1;

    if (n < 0 || (size_t)n + 1 >= room)
        return;
    for (char *c = start; *c; c++)
        if (*c == '\n')
            *c = ' '; /* where the next field would begin */
    start[n] = '\n';
    entry->size += (size_t)n + 1;
}

static void write_fields(struct entry *entry, int priority, const struct log_about *about,
                         const char *text)
{
    const char level[] = {(char)('0' + priority), '\0'};
    char pid[24];

    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    add_field(entry, "MESSAGE", text);
    add_field(entry, "PRIORITY", level);
    add_field(entry, "SYSLOG_FACILITY", "3"); /* LOG_DAEMON, shifted */
    add_field(entry, "SYSLOG_IDENTIFIER", logging.process);
    add_field(entry, "SYSLOG_PID", pid);
    add_field(entry, "PORTSMITH_PROFILE", about->profile);
    add_field(entry, "PORTSMITH_ADDRESS", about->address);
    add_field(entry, "PORTSMITH_SERVICE", about->service);
    add_field(entry, "PORTSMITH_VERDICT", about->verdict);
}

/* As RFC 3164 has it, section 4.1: there is room for twice the longest. In a stream a zero
 * ends it. */
static void write_message(struct entry *entry, int priority, const char *text)
{
    const time_t now = (time_t)(clock_wall_ns() / NSEC_PER_SEC);
    char date[sizeof "Nov 29 12:00:00"];
    struct tm local;

    localtime_r(&now, &local);
    strftime(date, sizeof date, "%b %e %T", &local);
    entry->size = (size_t)snprintf(entry->text, sizeof entry->text, "<%d>%s %s[%ld]: %s",
                                   LOG_DAEMON | priority, date, logging.process, (long)getpid(),
                                   text);
    entry->size += logging.place->type == SOCK_STREAM;
}

static bool has_patience(int64_t now)
{
    const int64_t forgiven = (now - logging.waited_at) / PATIENCE_SHARE;

    logging.waited = logging.waited > forgiven ? logging.waited - forgiven : 0;
    logging.waited_at = now;
    return logging.waited < PATIENCE * (int64_t)NSEC_PER_SEC;
}

static bool send_entry(const struct entry *entry)
{
    const int64_t start = clock_boot_ns();
    const int flags = MSG_NOSIGNAL | (has_patience(start) ? 0 : MSG_DONTWAIT);
    const bool sent =
        send(logging.system_log, entry->text, entry->size, flags) == (ssize_t)entry->size;

    logging.waited += clock_boot_ns() - start;
    return sent;
}

static bool offer(int priority, const struct log_about *about, const char *text)
{
    struct entry entry = {.size = 0};

    if (logging.system_log < 0)
        return false;
    if (logging.place->takes_fields)
        write_fields(&entry, priority, about, text);
    else
        write_message(&entry, priority, text);
    return send_entry(&entry);
}

/* One that was started anew has another socket. A process that has been confined cannot
 * connect to that. */
static bool is_reached(int priority, const struct log_about *about, const char *text)
{
    if (offer(priority, about, text))
        return true;
    if (logging.system_log >= 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    return find_system_log() && offer(priority, about, text);
}

/* Lines are lost rather than that somebody's door stays open for them. */
static void write_to_system_log(int priority, const struct log_about *about, const char *text)
{
    char loss[80];

    if (!is_reached(priority, about, text)) {
        logging.lost++;
        return;
    }
    if (logging.lost == 0)
        return;
    snprintf(loss, sizeof loss, "the log did not read in time: lines lost: %lu", logging.lost);
    if (offer(LOG_WARNING, &nothing, loss))
        logging.lost = 0;
}

static void write_text(int priority, const struct log_about *about, const char *text)
{
    int saved = errno;

    if (logging.foreground)
        write_to_standard_error(priority, text);
    else
        write_to_system_log(priority, about, text);
    errno = saved;
}

__attribute__((format(printf, 4, 0))) static void write_line(int priority, int error,
                                                             const struct log_about *about,
                                                             const char *format, va_list arguments)
{
    char said[1024], text[1200];
    int saved = errno;

    vsnprintf(said, sizeof said, format, arguments);
    printable(said);
    snprintf(text, sizeof text, "%s%s%s", said, error ? ": " : "", error ? strerror(error) : "");
    write_text(priority, about, text);
    errno = saved;
}

#define WRITE_LINE_ABOUT(priority, error, about)                      \
    do {                                                              \
        va_list arguments_;                                           \
        va_start(arguments_, format);                                 \
        write_line((priority), (error), (about), format, arguments_); \
        va_end(arguments_);                                           \
    } while (0)
#define WRITE_LINE(priority, error) WRITE_LINE_ABOUT((priority), (error), &nothing)

void log_debug(const char *format, ...)
{
    if (logging.debug)
        WRITE_LINE(LOG_DEBUG, 0);
}

void log_info(const char *format, ...)
{
    WRITE_LINE(LOG_INFO, 0);
}

void log_warn(const char *format, ...)
{
    WRITE_LINE(LOG_WARNING, errno);
}

void log_warnx(const char *format, ...)
{
    WRITE_LINE(LOG_WARNING, 0);
}

void log_info_about(const struct log_about *about, const char *format, ...)
{
    WRITE_LINE_ABOUT(LOG_INFO, 0, about);
}

void log_warnx_about(const struct log_about *about, const char *format, ...)
{
    WRITE_LINE_ABOUT(LOG_WARNING, 0, about);
}

/* A long line is cut off, but for the number. */
__attribute__((format(printf, 4, 0))) static bool write_limited(int priority,
                                                                struct log_limit *limit,
                                                                uint32_t most, const char *format,
                                                                va_list arguments)
{
    const int64_t now = clock_boot_ns();
    const uint32_t left_out = log_limit_take(limit, now);
    char said[1024], text[1200];

    if (!log_limit_admits(limit, most, 60, now))
        return false;
    vsnprintf(said, sizeof said, format, arguments);
    printable(said);
    if (left_out > 0)
        snprintf(text, sizeof text, "%s (%" PRIu32 " more of this kind were not logged)", said,
                 left_out);
    write_text(priority, &nothing, left_out > 0 ? text : said);
    return true;
}

bool log_info_limited(struct log_limit *limit, uint32_t most, const char *format, ...)
{
    va_list arguments;
    bool written;

    va_start(arguments, format);
    written = write_limited(LOG_INFO, limit, most, format, arguments);
    va_end(arguments);
    return written;
}

bool log_warnx_limited(struct log_limit *limit, uint32_t most, const char *format, ...)
{
    va_list arguments;
    bool written;

    va_start(arguments, format);
    written = write_limited(LOG_WARNING, limit, most, format, arguments);
    va_end(arguments);
    return written;
}

void fatal(const char *format, ...)
{
    WRITE_LINE(LOG_ERR, errno);
    exit(EXIT_FAILURE);
}

void fatalx(const char *format, ...)
{
    WRITE_LINE(LOG_ERR, 0);
    exit(EXIT_FAILURE);
}
