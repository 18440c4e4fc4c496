#include "check.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"

/* What `say` leaves on standard error, and how the process ended. */
static int heard(void (*say)(void), char *text, size_t size)
{
    int pipe_ends[2], status;
    size_t used = 0;
    ssize_t n;
    pid_t child;

    assert_int_equal(pipe(pipe_ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(pipe_ends[1], STDERR_FILENO);
        say();
        child_exit(7);
    }
    close(pipe_ends[1]);
    while ((n = read(pipe_ends[0], text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    close(pipe_ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void say_each(void)
{
    log_open("sniffer", true, true);
    errno = ENOENT;
    log_debug("d %d", 1);
    log_info("i");
    log_warn("w");
    log_warnx("x");
    log_open("helper", true, true);
    log_info("errno is %d", errno);
}

static void lines_have_priority_process_and_pid(void **state)
{
    char text[1024], expected[1024];
    int pid;

    (void)state;
    assert_int_equal(heard(say_each, text, sizeof text), 7);
    assert_int_equal(sscanf(text, "<7>sniffer[%d]: d 1\n", &pid), 1);
    snprintf(expected, sizeof expected,
             "<7>sniffer[%d]: d 1\n"
             "<6>sniffer[%d]: i\n"
             "<4>sniffer[%d]: w: No such file or directory\n"
             "<4>sniffer[%d]: x\n"
             "<6>helper[%d]: errno is 2\n",
             pid, pid, pid, pid, pid);
    assert_string_equal(text, expected);
}

static void say_debug_unasked(void)
{
    log_open("sniffer", true, false);
    log_debug("hidden");
}

static void debug_lines_come_only_when_asked_for(void **state)
{
    char text[256];

    (void)state;
    heard(say_debug_unasked, text, sizeof text);
    assert_string_equal(text, "");
}

static void die(void)
{
    log_open("helper", true, false);
    errno = EPERM;
    fatal("cannot go on");
}

static void diex(void)
{
    log_open("helper", true, false);
    fatalx("cannot go on");
}

static void fatal_says_why_and_exits(void **state)
{
    char text[256];

    (void)state;
    assert_int_equal(heard(die, text, sizeof text), EXIT_FAILURE);
    assert_non_null(strstr(text, "<3>helper["));
    assert_non_null(strstr(text, "cannot go on: Operation not permitted\n"));
    assert_int_equal(heard(diex, text, sizeof text), EXIT_FAILURE);
    assert_non_null(strstr(text, "cannot go on\n"));
}

static void say_into_nothing(void)
{
    log_open("helper", true, false);
    close(STDERR_FILENO);
    errno = ENOENT;
    log_info("nobody hears this");
    log_warn("nor this");
    child_exit(errno == ENOENT ? 0 : 1);
}

static void errno_is_kept_even_when_nothing_can_be_said(void **state)
{
    char text[64];

    (void)state;
    assert_int_equal(heard(say_into_nothing, text, sizeof text), 0);
}

static void say_too_much(void)
{
    char much[5000];

    memset(much, 'x', sizeof much - 1);
    much[sizeof much - 1] = '\0';
    log_open("helper", true, false);
    log_info("%s", much);
}

static void long_lines_are_cut_and_still_end(void **state)
{
    char text[6000];
    size_t n;

    (void)state;
    heard(say_too_much, text, sizeof text);
    n = strlen(text);
    assert_in_range(n, 1000, 1200);
    assert_int_equal(text[n - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + n - 1);
}

static void say_too_much_about_an_error(void)
{
    char much[1500], name[300];

    memset(much, 'x', sizeof much - 1);
    much[sizeof much - 1] = '\0';
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    log_open(name, true, false);
    errno = ENOENT;
    log_warn("%s", much);
}

static void a_line_never_outgrows_its_room(void **state)
{
    char text[6000];
    size_t n;

    (void)state;
    heard(say_too_much_about_an_error, text, sizeof text);
    n = strlen(text);
    assert_int_equal(n, 1199);
    assert_ptr_equal(strchr(text, '\n'), text + n - 1);
}

/* ---- in the background -------------------------------------------------- */

static void say_in_the_background(void)
{
    log_open("helper", false, false);
    errno = ENOENT;
    log_warn("cannot open %d", 7);
    log_open("sniffer", false, false);
    log_info("%%s is not a format");
}

/* The next line of the system's log, without its time. */
static void assert_next_line(int system_log, const char *priority, const char *rest)
{
    char line[256];
    ssize_t n = recv(system_log, line, sizeof line - 1, MSG_DONTWAIT);

    assert_true(n > 0);
    line[n] = '\0';
    assert_ptr_equal(strstr(line, priority), line);
    assert_non_null(strstr(line, rest));
}

/* The socket of one: it takes the place of one that was there. */
static int listen_at_dev_log(int type)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int system_log = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    unlink("/dev/log");
    assert_int_equal(bind(system_log, (struct sockaddr *)&place, sizeof place), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(system_log, 8), 0);
    return system_log;
}

/* On a /dev of ours, and a /run, so that there is no journal. */
static int make_system_log(int type)
{
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("tmpfs", "/dev", "tmpfs", 0, "mode=755"), 0);
    assert_int_equal(mount("tmpfs", "/run", "tmpfs", 0, "mode=755"), 0);
    return listen_at_dev_log(type);
}

static void remove_system_log(int system_log)
{
    close(system_log);
    assert_int_equal(umount("/run"), 0);
    assert_int_equal(umount("/dev"), 0);
}

static void the_background_speaks_to_syslog(void **state)
{
    char text[64];
    int system_log;

    (void)state;
    if (geteuid() != 0)
        skip();
    system_log = make_system_log(SOCK_DGRAM);
    assert_int_equal(heard(say_in_the_background, text, sizeof text), 7);
    assert_string_equal(text, "");
    assert_next_line(system_log, "<28>", "cannot open 7: No such file or directory");
    assert_next_line(system_log, "<30>", ": %s is not a format");
    remove_system_log(system_log);
}

static void say_times(void)
{
    log_open("helper", false, false);
    log_info("first");
    log_info("second");
}

/* "<30>Nov 29 12:00:00 helper[123]: first", a zero, and the second. */
static void a_syslog_that_takes_a_stream_gets_one(void **state)
{
    char text[64], said[512], month[4], day[3], time[9];
    int system_log, stream, pid, end = 0;
    ssize_t n;

    (void)state;
    if (geteuid() != 0)
        skip();
    system_log = make_system_log(SOCK_STREAM);
    assert_int_equal(heard(say_times, text, sizeof text), 7);
    stream = accept(system_log, NULL, NULL);
    n = recv(stream, said, sizeof said, MSG_WAITALL);
    assert_true(n > 0 && said[n - 1] == '\0');
    assert_int_equal(sscanf(said, "<30>%3s %2s %8s helper[%d]: first%n", month, day, time, &pid,
                            &end), 4);
    assert_int_equal(end, strlen(said));
    assert_non_null(strstr(said + end + 1, "]: second"));
    assert_ptr_equal(said + end + 1 + strlen(said + end + 1), said + n - 1);
    close(stream);
    remove_system_log(system_log);
}

/* As a syslogd that is started anew does. */
static void say_before_and_after(void)
{
    int first = make_system_log(SOCK_DGRAM), second;
    char line[256];

    log_open("helper", false, false);
    log_info("before");
    assert_true(recv(first, line, sizeof line, MSG_DONTWAIT) > 0);
    close(first);
    log_info("while there is none");
    second = listen_at_dev_log(SOCK_DGRAM);
    log_info("after");
    assert_next_line(second, "<30>", "]: after");
    assert_next_line(second, "<28>", "lines lost: 1");
    child_exit(0);
}

static void a_syslog_that_was_started_anew_is_found(void **state)
{
    char text[1024];

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(heard(say_before_and_after, text, sizeof text), 0);
}

static void say_to_the_journal(void)
{
    static const struct log_about about = {.profile = "ssh", .address = "192.0.2.1",
                                           .verdict = "opened\nMESSAGE=forged"};

    log_open("helper", false, false);
    log_info_about(&about, "two\nlines");
    log_open("sniffer", false, false);
    errno = ENOENT;
    log_warn("no %s", "fields");
}

static void assert_next_entry(int journal, const char *expected)
{
    char entry[4096], rest[4096];
    char *pid;
    ssize_t n = recv(journal, entry, sizeof entry - 1, MSG_DONTWAIT);

    assert_true(n > 0);
    entry[n] = '\0';
    pid = strstr(entry, "SYSLOG_PID=");
    assert_non_null(pid);
    snprintf(rest, sizeof rest, "%.*s%s", (int)(pid - entry), entry, strchr(pid, '\n') + 1);
    assert_string_equal(rest, expected);
}

/* The socket of one, on a /run of ours. */
static int make_journal(void)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
    int journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("tmpfs", "/run", "tmpfs", 0, "mode=755"), 0);
    assert_int_equal(mkdir("/run/systemd", 0755), 0);
    assert_int_equal(mkdir("/run/systemd/journal", 0755), 0);
    assert_int_equal(bind(journal, (struct sockaddr *)&place, sizeof place), 0);
    return journal;
}

static void where_there_is_a_journal_it_is_told_fields(void **state)
{
    char text[64];
    int journal;

    (void)state;
    if (geteuid() != 0)
        skip();
    journal = make_journal();
    assert_int_equal(heard(say_to_the_journal, text, sizeof text), 7);
    assert_string_equal(text, "");
    assert_next_entry(journal, "MESSAGE=two?lines\nPRIORITY=6\nSYSLOG_FACILITY=3\n"
                               "SYSLOG_IDENTIFIER=helper\nPORTSMITH_PROFILE=ssh\n"
                               "PORTSMITH_ADDRESS=192.0.2.1\n"
                               "PORTSMITH_VERDICT=opened MESSAGE=forged\n");
    assert_next_entry(journal, "MESSAGE=no fields: No such file or directory\nPRIORITY=4\n"
                               "SYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=sniffer\n");
    close(journal);
    assert_int_equal(umount("/run"), 0);
}

enum { LINES = 40 };

/* More than a socket takes (net.unix.max_dgram_qlen; there is room for each in bytes). */
static void say_much_then_more(void)
{
    const int64_t start = clock_boot_ns();
    char byte;

    log_open("helper", false, false);
    for (int i = 0; i < LINES; i++)
        log_info("line %d", i);
    assert_true(clock_boot_ns() - start < 10 * (int64_t)NSEC_PER_SEC);
    assert_int_equal(write(STDERR_FILENO, "x", 1), 1);
    assert_int_equal(read(STDIN_FILENO, &byte, 1), 1); /* it was read by now */
    log_info("one more");
    log_info("and another");
}

static unsigned read_lines(int journal, char *last, size_t size)
{
    unsigned count = 0;
    ssize_t n;

    while ((n = recv(journal, last, size - 1, MSG_DONTWAIT)) > 0) {
        last[n] = '\0';
        count++;
    }
    return count;
}

static void assert_is_waited_for_once(int journal)
{
    int go_on[2], said[2], status;
    char entry[4096], expected[64], byte;
    unsigned taken;
    pid_t child;

    assert_int_equal(pipe(go_on), 0);
    assert_int_equal(pipe(said), 0);
    child = fork();
    if (child == 0) {
        dup2(go_on[0], STDIN_FILENO);
        dup2(said[1], STDERR_FILENO);
        say_much_then_more();
        child_exit(0);
    }
    close(said[1]);
    assert_int_equal(read(said[0], &byte, 1), 1);
    taken = read_lines(journal, entry, sizeof entry);
    assert_in_range(taken, 1, LINES - 2);
    assert_int_equal(write(go_on[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(recv(journal, entry, sizeof entry - 1, MSG_DONTWAIT) > 0);
    assert_non_null(strstr(entry, "one more"));
    entry[recv(journal, entry, sizeof entry - 1, MSG_DONTWAIT)] = '\0';
    snprintf(expected, sizeof expected, "lines lost: %u", LINES - taken);
    assert_non_null(strstr(entry, expected));
    assert_int_equal(read_lines(journal, entry, sizeof entry), 1); /* it is told once */
    assert_non_null(strstr(entry, "and another"));
}

static void a_log_that_does_not_read_is_waited_for_once(void **state)
{
    int log;

    (void)state;
    if (geteuid() != 0)
        skip();
    log = make_journal();
    assert_is_waited_for_once(log);
    close(log);
    assert_int_equal(umount("/run"), 0);
    log = make_system_log(SOCK_DGRAM);
    assert_is_waited_for_once(log);
    remove_system_log(log);
}

static void the_journal_is_told_by_its_stream(void **state)
{
    char stream[64];
    struct stat s;

    (void)state;
    assert_int_equal(fstat(STDERR_FILENO, &s), 0);
    unsetenv("JOURNAL_STREAM");
    assert_false(log_standard_error_is_the_journal());
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)s.st_dev, (uintmax_t)s.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_true(log_standard_error_is_the_journal());
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)s.st_dev, (uintmax_t)s.st_ino + 1);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_false(log_standard_error_is_the_journal());
    unsetenv("JOURNAL_STREAM");
}

static void errors_are_cut_to_one_size_and_keep_errno(void **state)
{
    struct error e;
    char much[5000];

    (void)state;
    memset(much, 'x', sizeof much - 1);
    much[sizeof much - 1] = '\0';
    errno = EBUSY;
    assert_false(error_set(&e, "%s", much));
    assert_int_equal(errno, EBUSY);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_false(error_set(&e, "line %d", 5));
    assert_string_equal(e.text, "line 5");
}

static void say_again_and_again(void)
{
    struct log_limit limit = {0};

    log_open("helper", true, false);
    for (int i = 0; i < 10; i++)
        if (log_warnx_limited(&limit, 2, "it failed: %d", i) != (i < 2))
            child_exit(1);
    limit.until = clock_boot_ns();
    log_info_limited(&limit, 2, "it failed: %d", 10);
    log_info_limited(&limit, 2, "it failed: %d", 11);
}

static void what_repeats_is_counted(void **state)
{
    char text[1024], expected[1024];
    int pid;

    (void)state;
    assert_int_equal(heard(say_again_and_again, text, sizeof text), 7);
    assert_int_equal(sscanf(text, "<4>helper[%d]:", &pid), 1);
    snprintf(expected, sizeof expected,
             "<4>helper[%d]: it failed: 0\n"
             "<4>helper[%d]: it failed: 1\n"
             "<6>helper[%d]: it failed: 10 (8 more of this kind were not logged)\n"
             "<6>helper[%d]: it failed: 11\n", pid, pid, pid, pid);
    assert_string_equal(text, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_priority_process_and_pid),
        cmocka_unit_test(debug_lines_come_only_when_asked_for),
        cmocka_unit_test(fatal_says_why_and_exits),
        cmocka_unit_test(errno_is_kept_even_when_nothing_can_be_said),
        cmocka_unit_test(long_lines_are_cut_and_still_end),
        cmocka_unit_test(a_line_never_outgrows_its_room),
        cmocka_unit_test(the_background_speaks_to_syslog),
        cmocka_unit_test(where_there_is_a_journal_it_is_told_fields),
        cmocka_unit_test(a_log_that_does_not_read_is_waited_for_once),
        cmocka_unit_test(a_syslog_that_takes_a_stream_gets_one),
        cmocka_unit_test(a_syslog_that_was_started_anew_is_found),
        cmocka_unit_test(the_journal_is_told_by_its_stream),
        cmocka_unit_test(errors_are_cut_to_one_size_and_keep_errno),
        cmocka_unit_test(what_repeats_is_counted),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
