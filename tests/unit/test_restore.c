#include "check.h"

#include <ctype.h>
#include <errno.h>
#include <sys/file.h>

#include "common/clock.h"
#include "netspace.h"
#include "privsep/xtables/probe.h"
#include "privsep/xtables/restore.h"

enum { MANY = 5000 };

static enum backend backend;
static struct restore restore;
static struct error why;
static uint32_t started[RESTORE_STARTED];

static const char *name_of_backend(void)
{
    return backend == BACKEND_NFT ? "nft" : "legacy";
}

/* ---- before and after --------------------------------------------------- */

/* One program per transaction, until standing is tried. */
static int begin(void **state)
{
    const char *path = probe_program(backend, IPV4);

    (void)state;
    if (!path)
        return -1;
    why.text[0] = '\0';
    restore_init(&restore, path);
    memset(started, 0, sizeof started);
    restore.started = started;
    return 0;
}

static int begin_standing(void **state)
{
    if (begin(state) != 0)
        return -1;
    restore_try_standing(&restore);
    return restore.standing ? 0 : -1;
}

/* No program of ours is left behind, not even as a zombie. */
static int end(void **state)
{
    (void)state;
    restore_end(&restore);
    if (restore.pid != 0 || waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
        return -1;
    run_command("iptables-%s -w 5 -F; iptables-%s -w 5 -X", name_of_backend(), name_of_backend());
    return 0;
}

static enum restore_result run(const char *text)
{
    struct text copy;

    text_begin(&copy);
    fputs(text, copy.out);
    return restore_run(&restore, &copy, &why);
}

static bool rule_is_there(const char *rule)
{
    char *rules = output_of("iptables-%s -w 5 -S", name_of_backend());
    bool found = strstr(rules, rule) != NULL;

    free(rules);
    return found;
}

static bool is_one_printable_line(const char *text)
{
    for (; *text; text++)
        if (!isprint((unsigned char)*text))
            return false;
    return true;
}

#define ADD(port) "*filter\n-A INPUT -p tcp -m tcp --dport " port " -j DROP\nCOMMIT\n"

/* ---- what both ways have in common -------------------------------------- */

static void what_is_done_is_in_the_kernel(void **state)
{
    (void)state;
    assert_result(run(ADD("81")), RESTORE_DONE, why);
    assert_true(rule_is_there("--dport 81 -j DROP"));
    assert_result(run(ADD("82") "*mangle\n-A INPUT -j ACCEPT\nCOMMIT\n"), RESTORE_DONE, why);
    assert_true(rule_is_there("--dport 82 -j DROP"));
}

static void what_is_refused_changes_nothing(void **state)
{
    static const char *const wrong[] = {
        "*filter\n-A INPUT -p tcp --dport 83 -j DROP\n-A nowhere -j DROP\nCOMMIT\n",
        "*filter\n-A INPUT -p tcp --dport 83 -j DROP\n-A INPUT --nonsense\nCOMMIT\n",
        "*filter\n-A INPUT -p tcp --dport 83 -j DROP\n-C INPUT -p tcp --dport 84 -j DROP\nCOMMIT\n",
        "*nonsense\nCOMMIT\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        why.text[0] = '\0';
        if (run(wrong[i]) != RESTORE_REFUSED)
            fail_msg("not refused: %s: %s", wrong[i], why.text);
        assert_non_null(strstr(why.text, "refused"));
        assert_true(is_one_printable_line(why.text));
        assert_false(rule_is_there("--dport 83"));
        assert_result(run(ADD("85")), RESTORE_DONE, why); /* and it goes on */
    }
}

/* iptables takes it, the kernel does not. */
static void what_the_kernel_refuses_is_not_to_be_tried_again(void **state)
{
    (void)state;
    assert_result(run("*filter\n-A INPUT -p tcp --dport 83 -j DROP\n-A INPUT -j MASQUERADE\n"
                      "COMMIT\n"),
                  backend == BACKEND_NFT ? RESTORE_IMPOSSIBLE : RESTORE_REFUSED, why);
    assert_non_null(strstr(why.text, "refused"));
    assert_true(is_one_printable_line(why.text));
    assert_false(rule_is_there("--dport 83"));
    assert_result(run(ADD("85")), RESTORE_DONE, why);
}

static void a_large_transaction_is_done(void **state)
{
    struct text text;
    char *count;

    (void)state;
    text_begin(&text);
    fputs("*filter\n:many - [0:0]\n", text.out);
    for (int i = 0; i < MANY; i++)
        fprintf(text.out, "-A many -s 10.%d.%d.1/32 -p tcp -m tcp --dport 22 -m comment --comment "
                          "0123456789abcdef -j ACCEPT\n", i / 250, i % 250);
    fputs("COMMIT\n", text.out);
    fflush(text.out);
    assert_true(text.size > 400000); /* many times what a pipe holds */
    assert_result(restore_run(&restore, &text, &why), RESTORE_DONE, why);
    count = output_of("iptables-%s -w 5 -S many | grep -c ACCEPT", name_of_backend());
    assert_int_equal(atoi(count), MANY);
    free(count);
}

/* ---- kept running ------------------------------------------------------- */

static void one_program_serves_many_transactions(void **state)
{
    pid_t first = restore.pid;

    (void)state;
    assert_true(first > 0);
    for (int i = 0; i < 50; i++)
        assert_result(run(ADD("81")), RESTORE_DONE, why);
    assert_int_equal(restore.pid, first);
    assert_int_equal(started[0], first);
    assert_int_equal(started[1], 0);
}

static void programs_are_told_of_the_newest_first(void **state)
{
    uint32_t before[RESTORE_STARTED];

    (void)state;
    for (int i = 0; i < 2 * RESTORE_STARTED; i++) {
        memcpy(before, started, sizeof before);
        assert_result(run(ADD("81")), RESTORE_DONE, why);
        assert_int_not_equal(started[0], 0);
        assert_int_not_equal(started[0], before[0]);
        assert_memory_equal(started + 1, before, sizeof before - sizeof *before);
    }
}

static void one_that_was_killed_is_replaced(void **state)
{
    pid_t first = restore.pid;

    (void)state;
    assert_int_equal(kill(first, SIGKILL), 0);
    assert_result(run(ADD("81")), RESTORE_UNKNOWN, why); /* it cannot know */
    assert_non_null(strstr(why.text, "ended without an answer"));
    assert_int_equal(restore.pid, 0);
    assert_result(run(ADD("82")), RESTORE_DONE, why);
    assert_int_not_equal(restore.pid, first);
    assert_true(rule_is_there("--dport 82"));
    assert_false(rule_is_there("--dport 81"));
}

static void after_a_refusal_another_one_stands(void **state)
{
    pid_t first = restore.pid;

    (void)state;
    assert_result(run("*filter\n-A nowhere -j DROP\nCOMMIT\n"), RESTORE_REFUSED, why);
    assert_int_equal(restore.pid, 0);
    assert_result(run(ADD("81")), RESTORE_DONE, why);
    assert_true(restore.standing);
    assert_true(restore.pid > 0 && restore.pid != first);
}

/* With "-w 5" iptables-legacy takes the alarm of its wait for the lock, seconds later, for
 * the end of its input. */
static void one_that_has_nothing_to_do_stands(void **state)
{
    pid_t first = restore.pid;

    (void)state;
    assert_result(run(ADD("81")), RESTORE_DONE, why);
    assert_false(is_readable(restore.out, 6000)); /* its end would be */
    assert_result(run(ADD("82")), RESTORE_DONE, why);
    assert_int_equal(restore.pid, first);
}

/* ---- the xtables lock --------------------------------------------------- */

static int hold_lock(void)
{
    int lock = open("/run/xtables.lock", O_RDONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(lock >= 0);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    return lock;
}

/* Takes the five seconds that iptables is told to wait, or, of one that stands, the six
 * that an answer is waited for. */
static void a_held_lock_changes_nothing(void **state)
{
    int lock = hold_lock();

    (void)state;
    assert_result(run(ADD("81")), restore.standing ? RESTORE_UNKNOWN : RESTORE_BUSY, why);
    assert_non_null(strstr(why.text, "lock"));
    close(lock);
    assert_false(rule_is_there("--dport 81"));
    assert_result(run(ADD("82")), RESTORE_DONE, why);
}

static void a_lock_that_is_let_go_is_waited_for(void **state)
{
    int lock = hold_lock(), status;
    pid_t holder = fork();

    (void)state;
    if (holder == 0) {
        poll(NULL, 0, 3000);
        _exit(0); /* and the lock with it */
    }
    close(lock);
    assert_result(run(ADD("81")), RESTORE_DONE, why);
    assert_int_equal(waitpid(holder, &status, 0), holder);
    assert_true(rule_is_there("--dport 81"));
}

/* ---- programs that fail ------------------------------------------------- */

static void use_script(const char *text)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/restore", getcwd((char[200]){0}, 200));
    scratch_write_text(path, 0755, text);
    restore_end(&restore);
    restore_init(&restore, path);
}

static void exit_statuses_are_told_apart(void **state)
{
    char no_memory[160];
    const struct {
        const char *script;
        enum restore_result result;
    } cases[] = {
        {"#!/bin/sh\ncat >/dev/null\nexit 0\n", RESTORE_DONE},
        {"#!/bin/sh\ncat >/dev/null\nexit 1\n", RESTORE_REFUSED},
        {"#!/bin/sh\nexit 2\n", RESTORE_REFUSED},
        {"#!/bin/sh\nexit 3\n", RESTORE_REFUSED},
        {"#!/bin/sh\ncat >/dev/null\nexit 4\n", RESTORE_BUSY},
        {"#!/bin/sh\ncat >/dev/null\necho 'Another app is currently holding the xtables lock. "
         "Stopped waiting after 5s.'\nexit 4\n", RESTORE_BUSY},
        {no_memory, RESTORE_BUSY},
        {"#!/bin/sh\ncat >/dev/null\necho 'line 2: RULE_APPEND failed (Too many links): rule in "
         "chain INPUT'\nexit 4\n", RESTORE_IMPOSSIBLE},
        {"#!/bin/sh\nread line\nkill -KILL $$\n", RESTORE_UNKNOWN},
    };

    (void)state;
    snprintf(no_memory, sizeof no_memory,
             "#!/bin/sh\ncat >/dev/null\necho 'line 2: RULE_APPEND failed (%s): rule in chain INPUT'\n"
             "exit 4\n", strerror(ENOMEM));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        use_script(cases[i].script);
        if (run(ADD("81")) != cases[i].result)
            fail_msg("script: %s: %s", cases[i].script, why.text);
    }
}

/* Success without the acknowledgement is none. */
static void a_standing_one_must_acknowledge(void **state)
{
    (void)state;
    use_script("#!/bin/sh\nread line\nexit 0\n");
    restore.standing = true;
    assert_result(run(ADD("81")), RESTORE_UNKNOWN, why);
    use_script("#!/bin/sh\necho '# ack 7'\nread line\nexit 0\n");
    restore.standing = true;
    assert_result(run(ADD("81")), RESTORE_UNKNOWN, why); /* not this one's */
}

static void one_that_does_not_acknowledge_does_not_stand(void **state)
{
    int64_t start = clock_boot_ns();

    (void)state;
    use_script("#!/bin/sh\nexec cat >/dev/null\n");
    restore_try_standing(&restore);
    assert_false(restore.standing);
    assert_int_equal(restore.pid, 0);
    assert_true(clock_boot_ns() - start < (int64_t)8 * NSEC_PER_SEC);
    assert_result(run(ADD("81")), RESTORE_DONE, why);
}

static void one_that_cannot_be_run_is_named(void **state)
{
    (void)state;
    if (getenv("UNDER_VALGRIND")) /* its vfork does not let the child tell why exec failed */
        skip();
    use_script("half of an upgrade");
    assert_result(run(ADD("81")), RESTORE_BUSY, why);
    assert_non_null(strstr(why.text, restore.path));
    restore_try_standing(&restore);
    assert_false(restore.standing);
}

/* Whether it is there again only the next helper can see. */
static void one_that_is_missing_ends_the_helper(void **state)
{
    int status;
    pid_t child;

    (void)state;
    if (getenv("UNDER_VALGRIND"))
        skip();
    restore_init(&restore, "/nonexistent/iptables-restore");
    child = fork();
    if (child == 0) {
        run(ADD("81"));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
}

/* Neither its size nor its bytes reach a log line. */
static void a_flood_of_output_is_cut_and_cleaned(void **state)
{
    (void)state;
    use_script("#!/bin/sh\ncat >/dev/null\nhead -c 1000000 /dev/urandom\n"
               "printf 'a\\000b\\033[2Jc\\nthe end\\n\\n'\nexit 1\n");
    assert_result(run(ADD("81")), RESTORE_REFUSED, why);
    assert_true(is_one_printable_line(why.text));
    assert_non_null(strstr(why.text, "a?b?[2Jc|the end"));
}

static void it_inherits_nothing(void **state)
{
    int leak = open("leak", O_RDWR | O_CREAT, 0600); /* stays open across exec */
    char *seen;

    (void)state;
    use_script("#!/bin/sh\ncat >/dev/null\nd=${0%/*}\ncat /proc/$$/environ >$d/environment\n"
               "ls -l /proc/$$/fd >$d/descriptors\n"
               "while read -r name value; do case $name in Sig[BI]*) echo $value;; esac; done "
               "</proc/$$/status >$d/signals\nexit 0\n"); /* by itself: to fork is to block */
    assert_result(run(ADD("81")), RESTORE_DONE, why);
    close(leak);
    /* Signals 32 and 33 are the C library's own. */
    seen = output_of("cat environment; grep leak descriptors; "
                     "grep -v -x -E '0000000000000000|0000000180000000' signals");
    assert_string_equal(seen, "");
    free(seen);
    seen = output_of("grep -c pipe: descriptors; wc -l <signals");
    assert_string_equal(seen, "3\n2\n");
    free(seen);
}

/* Nine seconds, so that a wait for the lock does not count as a hang. */
static void one_that_hangs_is_ended(void **state)
{
    int64_t start = clock_boot_ns();

    (void)state;
    use_script("#!/bin/sh\nexec sleep 1000\n");
    assert_result(run(ADD("81")), RESTORE_UNKNOWN, why);
    assert_non_null(strstr(why.text, "did not answer in time"));
    assert_int_equal(restore.pid, 0);
    assert_true(clock_boot_ns() - start < (int64_t)100 * NSEC_PER_SEC);
}

#define ONCE(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define STANDING(test) cmocka_unit_test_setup_teardown(test, begin_standing, end)

static const struct CMUnitTest common[] = {
    ONCE(what_is_done_is_in_the_kernel),
    ONCE(what_the_kernel_refuses_is_not_to_be_tried_again),
    ONCE(what_is_refused_changes_nothing),
    ONCE(a_large_transaction_is_done),
    ONCE(programs_are_told_of_the_newest_first),
    STANDING(what_is_done_is_in_the_kernel),
    STANDING(what_the_kernel_refuses_is_not_to_be_tried_again),
    STANDING(what_is_refused_changes_nothing),
    STANDING(a_large_transaction_is_done),
    STANDING(one_program_serves_many_transactions),
    STANDING(one_that_was_killed_is_replaced),
    STANDING(after_a_refusal_another_one_stands),
    STANDING(one_that_has_nothing_to_do_stands),
};

static const struct CMUnitTest locked[] = {
    ONCE(a_held_lock_changes_nothing),
    STANDING(a_held_lock_changes_nothing),
    STANDING(a_lock_that_is_let_go_is_waited_for),
};

static const struct CMUnitTest scripts[] = {
    ONCE(exit_statuses_are_told_apart),
    ONCE(a_standing_one_must_acknowledge),
    ONCE(one_that_does_not_acknowledge_does_not_stand),
    ONCE(one_that_cannot_be_run_is_named),
    ONCE(one_that_is_missing_ends_the_helper),
    ONCE(a_flood_of_output_is_cut_and_cleaned),
    ONCE(it_inherits_nothing),
    ONCE(one_that_hangs_is_ended),
};

int main(void)
{
    int failed;

    backend = BACKEND_NFT;
    failed = cmocka_run_group_tests_name("restore, nft", common, netspace_enter, scratch_leave);
    failed += cmocka_run_group_tests_name("restore, scripts", scripts, netspace_enter,
                                          scratch_leave);
    backend = BACKEND_LEGACY;
    failed += cmocka_run_group_tests_name("restore, legacy", common, netspace_enter,
                                          scratch_leave);
    return failed + cmocka_run_group_tests_name("restore, the lock", locked, netspace_enter,
                                                scratch_leave);
}
