#include "log.h"

#include <errno.h>
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
#include <unistd.h>

#include "clock.h"

enum {
    JOURNAL_PATIENCE = 1, /* seconds that a journal which does not read may hold us up, ... */
    JOURNAL_SHARE = 60,   /* ... and this fraction of all time */
};

static struct {
    const char *process;
    bool foreground;
    bool debug;
    int journal; /* connected socket; -1: syslog is spoken to */
    int64_t waited;     /* for it, nanoseconds; forgiven as time passes, ... */
    int64_t waited_at;  /* ... since then; CLOCK_BOOTTIME */
    unsigned long lost; /* lines that it did not take, of which it was not told */
} logging = {.process = "portsmith", .foreground = true, .journal = -1};

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

/* The service manager holds that socket's other end while the journal starts anew. */
static int connect_to_journal(void)
{
    static const struct sockaddr_un journal = {.sun_family = AF_UNIX,
                                               .sun_path = "/run/systemd/journal/socket"};
    static const struct timeval patience = {.tv_sec = JOURNAL_PATIENCE};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (const struct sockaddr *)&journal, sizeof journal) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

void log_close(void)
{
    closelog();
    if (logging.journal >= 0)
        close(logging.journal);
    logging.journal = -1;
}

void log_rename(const char *process)
{
    logging.process = process;
    logging.lost = 0; /* the other process tells */
    log_close();
    if (logging.foreground)
        return;
    logging.journal = connect_to_journal();
    if (logging.journal < 0)
        openlog(process, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_open(const char *process, bool foreground, bool debug)
{
    logging.foreground = foreground;
    logging.debug = debug;
    log_rename(process);
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

static bool has_patience(int64_t now)
{
    const int64_t forgiven = (now - logging.waited_at) / JOURNAL_SHARE;

    logging.waited = logging.waited > forgiven ? logging.waited - forgiven : 0;
    logging.waited_at = now;
    return logging.waited < JOURNAL_PATIENCE * (int64_t)NSEC_PER_SEC;
}

static bool send_to_journal(const struct entry *entry)
{
    const int64_t start = clock_boot_ns();
    const int flags = MSG_NOSIGNAL | (has_patience(start) ? 0 : MSG_DONTWAIT);
    const bool sent = send(logging.journal, entry->text, entry->size, flags) >= 0;

    logging.waited += clock_boot_ns() - start;
    return sent;
}

static bool offer_to_journal(int priority, const struct log_about *about, const char *text)
{
    const char level[] = {(char)('0' + priority), '\0'};
    struct entry entry = {.size = 0};
    char pid[24];

    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    add_field(&entry, "MESSAGE", text);
    add_field(&entry, "PRIORITY", level);
    add_field(&entry, "SYSLOG_FACILITY", "3"); /* LOG_DAEMON, shifted */
    add_field(&entry, "SYSLOG_IDENTIFIER", logging.process);
    add_field(&entry, "SYSLOG_PID", pid);
    add_field(&entry, "PORTSMITH_PROFILE", about->profile);
    add_field(&entry, "PORTSMITH_ADDRESS", about->address);
    add_field(&entry, "PORTSMITH_SERVICE", about->service);
    add_field(&entry, "PORTSMITH_VERDICT", about->verdict);
    return send_to_journal(&entry);
}

/* Lines are lost rather than that somebody's door stays open for them. */
static void write_to_journal(int priority, const struct log_about *about, const char *text)
{
    char loss[80];

    if (!offer_to_journal(priority, about, text)) {
        logging.lost++;
        return;
    }
    if (logging.lost == 0)
        return;
    snprintf(loss, sizeof loss, "the journal did not read in time: lines lost: %lu", logging.lost);
    if (offer_to_journal(LOG_WARNING, &nothing, loss))
        logging.lost = 0;
}

__attribute__((format(printf, 4, 0))) static void write_line(int priority, int error,
                                                             const struct log_about *about,
                                                             const char *format, va_list arguments)
{
    char said[1024], text[1200];
    int saved = errno;

    vsnprintf(said, sizeof said, format, arguments);
    snprintf(text, sizeof text, "%s%s%s", said, error ? ": " : "", error ? strerror(error) : "");
    if (logging.foreground)
        write_to_standard_error(priority, text);
    else if (logging.journal >= 0)
        write_to_journal(priority, about, text);
    else
        syslog(priority, "%s", text);
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
