/* What iptables-restore prints before it acknowledges, or ends: the first byte says
 * whether it is kept running, and how it ends; the rest is what it prints. */
#include "fuzz.h"

#include <ctype.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "privsep/message.h"
#include "privsep/xtables/restore.h"

/* Bits of the first byte; above them is its status. */
enum { STANDS = 1, IS_KILLED = 2, IS_LATE = 4, STATUS = 8 };

static const char acknowledgement[] = "# ack 1\n"; /* of the first transaction */
static int status; /* to be reaped */
static bool is_real;
static bool is_late; /* it is, once it was waited for */

int64_t __wrap_clock_boot_ns(void);
int64_t __real_clock_boot_ns(void);

int64_t __wrap_clock_boot_ns(void)
{
    static int64_t ahead;

    if (is_late)
        ahead += 10 * (int64_t)NSEC_PER_SEC;
    return __real_clock_boot_ns() + ahead;
}

pid_t __wrap_waitpid(pid_t pid, int *end, int options);
pid_t __real_waitpid(pid_t pid, int *end, int options);

pid_t __wrap_waitpid(pid_t pid, int *end, int options)
{
    if (is_real)
        return __real_waitpid(pid, end, options);
    *end = status;
    return pid;
}

static void run_really(const char *script, enum restore_result expected, bool stands)
{
    struct restore restore;
    struct text text;
    struct error why;

    fuzz_write_text("/run/restore", script);
    REQUIRE(chmod("/run/restore", 0700) == 0);
    restore_init(&restore, "/run/restore");
    restore_try_standing(&restore);
    REQUIRE(restore.standing == stands);
    text_begin(&text);
    fputs("*filter\nCOMMIT\n", text.out);
    REQUIRE(restore_run(&restore, &text, &why) == expected);
    restore_end(&restore);
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    REQUIRE(dup2(fuzz_enter(), HELPER_FD_LOCK) == HELPER_FD_LOCK); /* what the programs inherit */
    is_real = true;
    run_really("#!/bin/sh\nexec cat\n", RESTORE_DONE, true);
    run_really("#!/bin/sh\nexit 0\n", RESTORE_DONE, false);
    run_really("#!/bin/sh\nexit 2\n", RESTORE_REFUSED, false);
    run_really("no program\n", RESTORE_BUSY, false);
    is_real = false;
    return 0;
}

/* Whatever it printed is one line for the log. */
static void check_reason(const struct error *why)
{
    REQUIRE(why->text[0] == '/');
    for (const char *at = why->text; *at; at++)
        REQUIRE(isprint((unsigned char)*at));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size < 16384 ? size : 16384}; /* a pipe holds that */
    uint8_t how = input_byte(&in);
    /* No process has this number (proc(5): pid_max). */
    struct restore restore = {.path = "/run/restore", .standing = how & STANDS, .pid = INT32_MAX};
    struct error why = {""};
    struct text text;
    enum restore_result result;
    int to[2], from[2];
    bool acknowledged;

    status = how & IS_KILLED ? SIGKILL : W_EXITCODE(how / STATUS, 0);
    is_late = how & IS_LATE;
    REQUIRE(pipe2(to, O_CLOEXEC | O_NONBLOCK) == 0 && pipe2(from, O_CLOEXEC | O_NONBLOCK) == 0);
    REQUIRE(write(from[1], in.bytes, in.size) == (ssize_t)in.size);
    close(from[1]);
    restore.in = to[1];
    restore.out = from[0];
    acknowledged = memmem(in.bytes, in.size, acknowledgement, sizeof acknowledgement - 1);
    text_begin(&text);
    fputs("*filter\nCOMMIT\n", text.out);
    result = restore_run(&restore, &text, &why);
    REQUIRE((result == RESTORE_DONE) ==
            (!is_late && (restore.standing ? acknowledged : status == 0)));
    REQUIRE(result != RESTORE_REFUSED || (WIFEXITED(status) && status != 0));
    REQUIRE(!is_late || result == RESTORE_UNKNOWN);
    if (result != RESTORE_DONE)
        check_reason(&why);
    if (restore.in >= 0) /* it goes on */
        close(restore.in);
    if (restore.out >= 0)
        close(restore.out);
    close(to[0]);
    return 0;
}
