#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/printable.h"

enum {
    PATIENCE = 1,        /* how many seconds a log that does not read may hold us up at once */
    PATIENCE_SHARE = 60, /* and of all time, one part in so many */
};

/* Where the system's log may listen, in the order of preference. A syslogd takes messages of either
 * type, and syslog(3) tries the types in the same order. */
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
    int system_log;            /* the socket that is connected to the log; -1: none is */
    const struct place *place; /* what that socket is connected to */
    int64_t waited;            /* nanoseconds spent on it, less what passing time has forgiven */
    int64_t waited_at;         /* when time last forgave, clock_boot_ns() */
    unsigned long lost;        /* how many lines it did not take, and was not told of */
} logging = {.process = "portsmith", .foreground = true, .system_log = -1};

static const struct log_about nothing;

/* Returns a socket, or -1. While the journal starts anew, the service manager holds its end, so
 * that one can connect. */
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
    logging.lost = 0; /* lines that were lost before the fork are the parent's to tell */
    close_system_log();
    if (foreground)
        return;
    tzset(); /* while the time zone's file can still be read */
    find_system_log();
}

/* Writes a line by one call, so that lines of several processes do not mix. */
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
        (void)0; /* there is nowhere left to say that this failed */
}

/* What the system's log is sent for one line. */
struct entry {
    char text[2560];
    size_t size;
};

/* Adds a field, unless `value` is NULL. A field that does not fit is left out as a whole. */
static void add_field(struct entry *entry, const char *name, const char *value)
{
    size_t room = sizeof entry->text - entry->size;
    char *start = entry->text + entry->size;
    int n = value ? snprintf(start, room, "%s=%s", name, value) : -1;

    if (n < 0 || (size_t)n + 1 >= room)
        return;
    for (char *c = start; *c; c++)
        if (*c == '\n')
            *c = ' '; /* behind a newline the next field would begin */
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
    add_field(entry, "SYSLOG_FACILITY", "3"); /* LOG_DAEMON >> 3 */
    add_field(entry, "SYSLOG_IDENTIFIER", logging.process);
    add_field(entry, "SYSLOG_PID", pid);
    add_field(entry, "PORTSMITH_PROFILE", about->profile);
    add_field(entry, "PORTSMITH_ADDRESS", about->address);
    add_field(entry, "PORTSMITH_SERVICE", about->service);
    add_field(entry, "PORTSMITH_VERDICT", about->verdict);
}

/* Writes the message of RFC 3164, section 4.1. There is room for twice the longest one. In a
 * stream, a zero ends the message. */
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

/* Sends an entry, and waits for the log only while there is patience left. False with errno. */
static bool send_entry(const struct entry *entry)
{
    const int64_t start = clock_boot_ns();
    const int64_t forgiven = (start - logging.waited_at) / PATIENCE_SHARE;
    int flags = MSG_NOSIGNAL;
    bool sent;

    logging.waited = logging.waited > forgiven ? logging.waited - forgiven : 0;
    logging.waited_at = start;
    if (logging.waited >= PATIENCE * (int64_t)NSEC_PER_SEC)
        flags |= MSG_DONTWAIT;
    sent = send(logging.system_log, entry->text, entry->size, flags) == (ssize_t)entry->size;
    logging.waited += clock_boot_ns() - start;
    return sent;
}

/* Offers the line to the log that we are connected to. False, with errno if there is one. */
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

/* Offers the line to the log, and once more after connecting anew: a log that was started anew has
 * another socket. A process that is confined cannot connect to that. */
static bool is_reached(int priority, const struct log_about *about, const char *text)
{
    if (offer(priority, about, text))
        return true;
    if (logging.system_log >= 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    return find_system_log() && offer(priority, about, text);
}

/* A line that the log does not take is lost: waiting for the log could keep somebody's door
 * open. */
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

void log_line(int priority, const struct log_about *about, const char *text)
{
    int saved = errno;

    if (logging.foreground)
        write_to_standard_error(priority, text);
    else
        write_to_system_log(priority, about, text);
    errno = saved;
}

__attribute__((format(printf, 3, 0))) static void write_line(int priority, int error,
                                                             const char *format, va_list arguments)
{
    char said[1024], text[1200];
    int saved = errno;

    vsnprintf(said, sizeof said, format, arguments);
    printable(said);
    snprintf(text, sizeof text, "%s%s%s", said, error ? ": " : "", error ? strerror(error) : "");
    log_line(priority, &nothing, text);
    errno = saved;
}

#define WRITE_LINE(priority, error)                          \
    do {                                                     \
        va_list arguments_;                                  \
        va_start(arguments_, format);                        \
        write_line((priority), (error), format, arguments_); \
        va_end(arguments_);                                  \
    } while (0)

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

/* Writes a line if the limit allows. A line that is too long is cut off before the number of
 * lines that were left out. */
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
    log_line(priority, &nothing, left_out > 0 ? text : said);
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
