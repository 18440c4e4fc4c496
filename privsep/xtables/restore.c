/* Runs iptables-restore(8), and tells what became of a transaction. */
#include "privsep/xtables/restore.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/libc.h"
#include "common/log.h"
#include "privsep/message.h"

enum {
    ANSWER_SIZE = 4096,
    ACKNOWLEDGE_MS = 6000, /* waiting for the xtables lock included */
    PROBE_MS = 3000, /* so long that a busy host is not taken for an old iptables */
    EXIT_RESOURCE_PROBLEM = 4, /* is_impossible tells what iptables means by it */
};

/* A transaction that is under way. */
struct exchange {
    const char *unwritten; /* of the text */
    size_t left;           /* its bytes */
    char ack[32];          /* the text's last line, a comment, which a standing program repeats */
    char answer[ANSWER_SIZE]; /* the end of what the program printed */
    size_t answered;
    int64_t deadline; /* CLOCK_BOOTTIME */
};

void restore_init(struct restore *restore, const char *path)
{
    *restore = (struct restore){.path = path, .in = -1, .out = -1};
}

static void close_pipes(struct restore *restore)
{
    if (restore->in >= 0)
        close(restore->in);
    if (restore->out >= 0)
        close(restore->out);
    restore->in = restore->out = -1;
}

static bool make_pipes(int to[2], int from[2])
{
    if (pipe2(to, O_CLOEXEC) != 0)
        return false;
    if (pipe2(from, O_CLOEXEC) == 0)
        return true;
    close(to[0]);
    close(to[1]);
    return false;
}

/* The program has an absolute path, fixed arguments, an empty environment, and no signal
 * blocked or ignored. It inherits the pipes, the lock's descriptor once there is one, and
 * nothing else. Returns 0 or an errno.
 *
 * A standing program waits for the xtables lock without a time-out of its own. With one,
 * iptables-legacy sets an alarm that it never takes back (1.8.9, tried): the alarm ends a
 * program that has had nothing to do for so long, as it takes the interrupted read for
 * the end of its input. */
static int spawn_between(struct restore *restore, int in, int out)
{
    const char *name = strrchr(restore->path, '/') + 1;
    char *const argv[] = {strdupa(name), strdupa("--noflush"), strdupa("-v"), strdupa("-w"),
                          restore->standing ? NULL : strdupa("5"), NULL};
    char *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    int first_closed = STDERR_FILENO + 1;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int error;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    if (fcntl(HELPER_FD_LOCK, F_GETFD) >= 0)
        posix_spawn_file_actions_adddup2(&actions, HELPER_FD_LOCK, first_closed++);
    posix_spawn_file_actions_addclosefrom_np(&actions, first_closed);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    error = posix_spawn(&restore->pid, restore->path, &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static bool start(struct restore *restore, struct error *why)
{
    int to[2], from[2], error;

    if (!make_pipes(to, from))
        return error_set(why, "cannot make a pipe: %s", strerror(errno));
    error = spawn_between(restore, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    restore->in = to[1];
    restore->out = from[0];
    /* An upgrade removed the program, or put another file in its place, which may not be
     * run (landlock.h). The next helper looks for it. */
    if (error == EACCES || error == ENOENT)
        fatalx("%s %s, perhaps because it was upgraded: starting again", restore->path,
               error == ENOENT ? "is missing" : "may not be run");
    if (error) {
        restore->pid = 0;
        close_pipes(restore);
        return error_set(why, "cannot run %s: %s", restore->path, strerror(error));
    }
    if (restore->started) {
        memmove(restore->started + 1, restore->started,
                (RESTORE_STARTED - 1) * sizeof *restore->started);
        restore->started[0] = (uint32_t)restore->pid;
    }
    fcntl(restore->in, F_SETFL, O_NONBLOCK);
    fcntl(restore->out, F_SETFL, O_NONBLOCK);
    return true;
}

/* Waits for the program, which has closed its output or was killed. Returns
 * its exit status, or -1 when a signal ended it. */
static int reap(struct restore *restore)
{
    int status = 0;
    pid_t ended;

    do
        ended = waitpid(restore->pid, &status, 0);
    while (ended < 0 && errno == EINTR);
    restore->pid = 0;
    close_pipes(restore);
    return ended > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void restore_end(struct restore *restore)
{
    if (restore->pid == 0)
        return;
    /* Between transactions the program would exit at the end of its input. But a program that
     * does not must not hold the helper up. */
    kill(restore->pid, SIGKILL);
    reap(restore);
}

/* Writes as much as the pipe takes: all of a transaction at once, unless it is larger than the
 * pipe. A "*table" that waits for its COMMIT holds the xtables lock. */
static void write_some(struct restore *restore, struct exchange *x)
{
    ssize_t n = write(restore->in, x->unwritten, x->left);

    if (n < 0 && errno != EAGAIN && errno != EINTR)
        n = (ssize_t)x->left; /* the program is gone: the end of its output will say so */
    if (n > 0) {
        x->unwritten += n;
        x->left -= (size_t)n;
    }
    if (x->left == 0 && !restore->standing) {
        close(restore->in);
        restore->in = -1;
    }
}

/* Reads what the program printed. False at the end of its output. When the buffer is full, the
 * newer half is kept: the acknowledgement is short, and comes last. */
static bool read_some(struct restore *restore, struct exchange *x)
{
    enum { HALF = ANSWER_SIZE / 2 };
    size_t room = ANSWER_SIZE - 1 - x->answered;
    ssize_t n;

    if (room == 0) {
        memmove(x->answer, x->answer + HALF, x->answered - HALF);
        x->answered -= HALF;
        room = HALF;
    }
    n = read(restore->out, x->answer + x->answered, room);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    for (ssize_t i = 0; i < n; i++)
        if (x->answer[x->answered + (size_t)i] == '\0')
            x->answer[x->answered + (size_t)i] = '?';
    x->answered += (size_t)n;
    x->answer[x->answered] = '\0';
    return n > 0;
}

enum talk_end { TALK_ACKNOWLEDGED, TALK_ENDED, TALK_TIMED_OUT };

static enum talk_end talk(struct restore *restore, struct exchange *x)
{
    for (;;) {
        int64_t left = (x->deadline - clock_boot_ns()) / NSEC_PER_MSEC;
        struct pollfd fds[2] = {{.fd = restore->out, .events = POLLIN},
                                {.fd = x->left == 0 ? -1 : restore->in, .events = POLLOUT}};

        if (left <= 0 || (poll(fds, 2, (int)left) < 0 && errno != EINTR))
            return TALK_TIMED_OUT;
        if (fds[1].revents)
            write_some(restore, x);
        if (fds[0].revents && !read_some(restore, x))
            return TALK_ENDED;
        if (restore->standing && strstr(x->answer, x->ack))
            return TALK_ACKNOWLEDGED;
    }
}

/* Writes into *why what happened, and the last lines that the program printed, as one printable
 * line. */
static void explain(struct error *why, const struct restore *restore, const struct exchange *x,
                    const char *event)
{
    char text[200];
    size_t from = x->answered > sizeof text - 1 ? x->answered - (sizeof text - 1) : 0;
    size_t n = x->answered - from;

    memcpy(text, x->answer + from, n);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (!isprint((unsigned char)text[i]))
            text[i] = text[i] == '\n' ? '|' : '?';
    error_set(why, "%s %s%s%s", restore->path, event, n ? ": " : "", text);
}

/* Whether trying again is of no use after the status "resource problem". iptables-legacy ends with
 * it where it did not get the xtables lock. iptables-nft knows no lock, and ends with it whatever
 * error the kernel answers a change with. It prints that error as "line 3: RULE_APPEND failed
 * (Operation not permitted)" (1.8.9, nft_action in xtables-restore.c), or, before any change, as
 * "Could not fetch rule set generation id: Invalid argument" (mnl_genid_get in nft.c), which is what
 * a kernel without nf_tables answers. Some errors pass. */
static bool is_impossible(const struct exchange *x)
{
    static const int passing[] = {EAGAIN, EINTR, ENOMEM, ENOBUFS};

    if (!strstr(x->answer, " failed (") && !strstr(x->answer, "generation id: "))
        return false;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (strstr(x->answer, strerror(passing[i])))
            return false;
    return true;
}

/* Returns what came of it. Unless that is RESTORE_DONE, the reason is in *why. */
static enum restore_result conclude(struct restore *restore, const struct exchange *x,
                                    enum talk_end end, struct error *why)
{
    enum restore_result result = RESTORE_UNKNOWN;
    const char *event = "ended without an answer"; /* killed, or gone */
    int status;

    if (end == TALK_ACKNOWLEDGED)
        return RESTORE_DONE;
    if (end == TALK_TIMED_OUT)
        kill(restore->pid, SIGKILL);
    status = reap(restore);
    if (end == TALK_TIMED_OUT) {
        event = "did not answer in time; another program may hold the xtables lock";
    } else if (status == 0 && !restore->standing) {
        return RESTORE_DONE;
    } else if (status == EXIT_RESOURCE_PROBLEM) {
        result = is_impossible(x) ? RESTORE_IMPOSSIBLE : RESTORE_BUSY;
        event = result == RESTORE_BUSY ? "was held up" : "was refused by the kernel";
    } else if (status > 0) {
        result = RESTORE_REFUSED;
        event = "refused";
    }
    explain(why, restore, x, event);
    return result;
}

static enum restore_result run_within(struct restore *restore, struct text *text,
                                      int milliseconds, struct error *why)
{
    struct exchange x = {.deadline = 0};
    enum restore_result result = RESTORE_BUSY;

    /* With -v the program repeats comment lines, in order, once what stands before them is
     * committed: that is the acknowledgement. */
    snprintf(x.ack, sizeof x.ack, "# ack %u\n", ++restore->serial);
    if (restore->standing)
        fputs(x.ack, text->out);
    text_end(text);
    x.unwritten = text->bytes;
    x.left = text->size;
    if (restore->pid != 0 || start(restore, why)) {
        x.deadline = clock_boot_ns() + (int64_t)milliseconds * NSEC_PER_MSEC;
        result = conclude(restore, &x, talk(restore, &x), why);
    }
    free(text->bytes);
    return result;
}

enum restore_result restore_run(struct restore *restore, struct text *text, struct error *why)
{
    return run_within(restore, text, ACKNOWLEDGE_MS, why);
}

enum restore_result restore_run_once(const char *path, struct text *text, struct error *why)
{
    struct restore once;

    restore_init(&once, path);
    return restore_run(&once, text, why);
}

void restore_try_standing(struct restore *restore)
{
    struct error unused;
    struct text empty;

    text_begin(&empty);
    fputs("*filter\nCOMMIT\n", empty.out);
    restore->standing = true;
    restore->standing = run_within(restore, &empty, PROBE_MS, &unused) == RESTORE_DONE;
}
