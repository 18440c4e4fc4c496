#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "agentstub.h"
#include "client/agent.h"

static struct error why;

/* ---- lists ----------------------------------------------------------------- */

static struct person alice;
static struct ssh_key plain, security;

static int make_keys(void **state)
{
    (void)state;
    person_make(&alice, 1);
    stub_key(&plain, &alice, SIGNER_SSH);
    stub_key(&security, &alice, SIGNER_SECURITY_KEY);
    return 0;
}

static void assert_commented(const char *comment, size_t size, const char *expected)
{
    char found[AGENT_COMMENT_SIZE] = "";
    struct bytes answer;

    stub_list(&answer, &plain, comment, size);
    assert_int_equal(agent_read_list(answer.at, answer.size, &plain, found), AGENT_HOLDS);
    assert_string_equal(found, expected);
}

/* Comments are any bytes, and are shown. */
static void a_key_is_found_with_its_comment(void **state)
{
    char comment[200];

    (void)state;
    assert_commented("alice@laptop", 12, "alice@laptop");
    assert_commented("", 0, "");
    assert_commented("a\033[2J\nb\0c", 9, "a?[2J?b?c");
    memset(comment, 'x', sizeof comment);
    assert_commented(comment, sizeof comment,
                     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

static enum agent_answer read_list(const struct bytes *answer, const struct ssh_key *key)
{
    char comment[AGENT_COMMENT_SIZE];

    return agent_read_list(answer->at, answer->size, key, comment);
}

/* By its whole blob: one key of two forms is two keys. */
static void another_key_is_not_taken_for_it(void **state)
{
    struct bytes answer = {.size = 0};

    (void)state;
    stub_list(&answer, &security, "alice@laptop", 12);
    assert_int_equal(read_list(&answer, &security), AGENT_HOLDS);
    assert_int_equal(read_list(&answer, &plain), AGENT_LACKS);
    answer.size = 0;
    put_byte(&answer, 12);
    put_number(&answer, 2);
    put_string(&answer, plain.blob, plain.blob_size - 1);
    put_string(&answer, "", 0);
    put_string(&answer, plain.blob, plain.blob_size + 1);
    put_string(&answer, plain.blob, plain.blob_size); /* as a comment */
    assert_int_equal(read_list(&answer, &plain), AGENT_LACKS);
}

static void an_empty_list_and_a_failure_are_told_apart(void **state)
{
    static const struct bytes empty = {{12, 0, 0, 0, 0}, 5}, failure = {{5}, 1}, more = {{5, 0}, 2};

    (void)state;
    assert_int_equal(read_list(&empty, &plain), AGENT_EMPTY);
    assert_int_equal(read_list(&failure, &plain), AGENT_FAILURE);
    assert_int_equal(read_list(&more, &plain), AGENT_GARBLED);
}

static void a_list_that_is_not_whole_is_none(void **state)
{
    struct bytes answer;
    size_t whole;

    (void)state;
    stub_list(&answer, &plain, "alice@laptop", 12);
    whole = answer.size;
    for (answer.size = 0; answer.size < whole; answer.size++)
        assert_int_equal(read_list(&answer, &plain), AGENT_GARBLED);
    answer.size = whole + 1;
    assert_int_equal(read_list(&answer, &plain), AGENT_GARBLED);
    answer.size = whole;
    for (unsigned count = 0; count < 4; count++) {
        store_be32(answer.at + 1, count);
        assert_int_equal(read_list(&answer, &plain), count == 2 ? AGENT_HOLDS : AGENT_GARBLED);
    }
    store_be32(answer.at + 1, UINT32_MAX);
    assert_int_equal(read_list(&answer, &plain), AGENT_GARBLED);
    store_be32(answer.at + 1, 2);
    store_be32(answer.at + 5, UINT32_MAX);
    assert_int_equal(read_list(&answer, &plain), AGENT_GARBLED);
}

/* ---- signatures ------------------------------------------------------------ */

static void make_signature(struct bytes *answer, const struct ssh_key *key)
{
    const struct stub s = {.who = alice, .key = *key, .flags = AUTHENTICATOR_TOUCHED};

    stub_signature(answer, &s, (const uint8_t *)"blob", 4);
}

static void a_signature_is_read_in_its_form(void **state)
{
    static const uint8_t none[AUTHENTICATOR_SIZE] = {0}, touched[] = {1, 0, 0, 0, 9};
    struct signature signature;
    struct bytes answer;

    (void)state;
    make_signature(&answer, &plain);
    assert_int_equal(answer.size, 1 + 4 + 83);
    assert_int_equal(agent_read_signature(answer.at, answer.size, &plain, &signature), AGENT_SIGNED);
    assert_memory_equal(signature.bytes, answer.at + answer.size - SIGNATURE_SIZE, SIGNATURE_SIZE);
    assert_memory_equal(signature.authenticator, none, AUTHENTICATOR_SIZE);
    make_signature(&answer, &security);
    assert_int_equal(answer.size, 1 + 4 + 103);
    assert_int_equal(agent_read_signature(answer.at, answer.size, &security, &signature),
                     AGENT_SIGNED);
    assert_memory_equal(signature.authenticator, touched, AUTHENTICATOR_SIZE);
}

static void a_signature_of_another_form_or_size_is_none(void **state)
{
    const struct ssh_key *keys[] = {&plain, &security};
    struct signature signature;
    struct bytes answer;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t whole;

        make_signature(&answer, keys[i]);
        whole = answer.size;
        assert_int_equal(agent_read_signature(answer.at, whole, keys[1 - i], &signature),
                         AGENT_GARBLED);
        for (size_t size = 0; size <= whole + 1; size++)
            assert_int_equal(agent_read_signature(answer.at, size, keys[i], &signature),
                             size == whole ? AGENT_SIGNED : AGENT_GARBLED);
        for (unsigned at = 1; at < whole - SIGNATURE_SIZE - AUTHENTICATOR_SIZE; at++) {
            answer.at[at] ^= 1; /* sizes and type */
            assert_int_equal(agent_read_signature(answer.at, whole, keys[i], &signature),
                             AGENT_GARBLED);
            answer.at[at] ^= 1;
        }
    }
    assert_int_equal(agent_read_signature((const uint8_t *)"\5", 1, &plain, &signature),
                     AGENT_FAILURE);
}

/* ---- where it is ------------------------------------------------------------ */

static void the_agent_is_the_one_that_is_named(void **state)
{
    char path[PATH_MAX], longest[200];

    (void)state;
    setenv(AGENT_VARIABLE, "/run/user/0/agent", 1);
    assert_true(agent_path(path, "", &why));
    assert_string_equal(path, "/run/user/0/agent");
    assert_true(agent_path(path, "SSH_AUTH_SOCK", &why));
    assert_string_equal(path, "/run/user/0/agent");
    assert_true(agent_path(path, "/tmp/other", &why));
    assert_string_equal(path, "/tmp/other");
    memset(longest, 'x', sizeof longest);
    longest[108] = '\0';
    assert_false(agent_path(path, longest, &why));
    assert_non_null(strstr(why.text, "too long"));
    longest[107] = '\0';
    assert_true(agent_path(path, longest, &why));
}

static void the_home_directory_is_put_before_the_agents_path(void **state)
{
    char path[PATH_MAX], expected[PATH_MAX];

    setenv("HOME", *state, 1);
    snprintf(expected, sizeof expected, "%s/.ssh/agent", (char *)*state);
    assert_done(agent_path(path, "~/.ssh/agent", &why), why);
    assert_string_equal(path, expected);
}

static void without_an_agent_it_is_said_how_to_name_one(void **state)
{
    char path[PATH_MAX];

    (void)state;
    setenv(AGENT_VARIABLE, "", 1);
    assert_false(agent_path(path, "", &why));
    unsetenv(AGENT_VARIABLE);
    assert_false(agent_path(path, AGENT_VARIABLE, &why));
    assert_non_null(strstr(why.text, "SSH_AUTH_SOCK is not set"));
    assert_non_null(strstr(why.text, "--agent"));
    assert_non_null(strstr(why.text, "IdentityAgent"));
}

/* ---- asking ------------------------------------------------------------------ */

static const uint8_t blob[SSH_BLOB_SIZE] = "SSHSIG";
static unsigned told;

static void note_told(const char *text)
{
    assert_string_equal(text, "touch your security key");
    told++;
}

static void it_signs_by_either_form_of_key(void **state)
{
    static const enum signer_form forms[] = {SIGNER_SSH, SIGNER_SECURITY_KEY};
    char comment[AGENT_COMMENT_SIZE];
    struct signature signature;
    struct stub stub;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        told = 0;
        stub_start(&stub, forms[i]);
        assert_done(agent_find(STUB_PATH, &stub.key, comment, &why), why);
        assert_string_equal(comment, "alice@laptop");
        assert_int_equal(stub.asked, 0);
        assert_done(agent_sign(STUB_PATH, &stub.key, blob, note_told, &signature, &why), why);
        assert_int_equal(stub.asked, 1);
        assert_int_equal(told, forms[i] == SIGNER_SECURITY_KEY);
        stub_end(&stub);
    }
}

static void assert_refused(struct stub *stub, const char *expected)
{
    struct signature signature;

    assert_false(agent_sign(STUB_PATH, &stub->key, blob, NULL, &signature, &why));
    if (strncmp(why.text, "the ssh-agent at ./agent ", 25) != 0 || !strstr(why.text, expected))
        fail_msg("'%s' does not say '%s'", why.text, expected);
}

static void it_is_said_why_an_agent_does_not_sign(void **state)
{
    static const uint8_t large[] = {12, 0, 0, 0, 9};
    struct stub stub;

    (void)state;
    stub_start(&stub, SIGNER_SSH);
    stub.lists = (const uint8_t *)"\14\0\0\0\0";
    stub.lists_size = 5;
    assert_refused(&stub, "is locked or empty");
    stub.lists = (const uint8_t *)"\5";
    stub.lists_size = 1;
    assert_refused(&stub, "has no keys to give");
    stub.lists = (const uint8_t *)"\14\0\0\0\1\0\0\0\1k\0\0\0\1c";
    stub.lists_size = 15;
    assert_refused(&stub, "does not hold the key of SSHKey");
    stub.lists = large;
    stub.lists_size = sizeof large;
    assert_refused(&stub, "gave no answer of an agent's");
    stub.lists_size = 0;
    assert_refused(&stub, "closed the connection without an answer");
    assert_int_equal(stub.asked, 0);
    stub.lists = NULL;
    stub.refuses = true;
    assert_refused(&stub, "ssh-add -h");
    assert_int_equal(stub.asked, 1); /* and not a second time */
    stub_end(&stub);
}

static void an_agent_that_is_not_there_is_named(void **state)
{
    struct signature signature;
    struct stub stub;

    (void)state;
    stub_start(&stub, SIGNER_SSH);
    stub_end(&stub);
    assert_false(agent_sign("./agent", &stub.key, blob, NULL, &signature, &why));
    assert_non_null(strstr(why.text, "./agent: No such file"));
    stub_start(&stub, SIGNER_SSH);
    assert_int_equal(rename(STUB_PATH, "left-over"), 0);
    stub_end(&stub);
    assert_false(agent_sign("left-over", &stub.key, blob, NULL, &signature, &why));
    assert_non_null(strstr(why.text, "left-over: it has ended"));
    assert_non_null(strstr(why.text, "--agent"));
}

/* What listens there may be anything. */
static void an_answer_that_is_too_long_is_not_waited_for(void **state)
{
    static const uint8_t head[] = {0, 0x10, 0, 1}, none[4] = {0};
    const uint8_t *heads[] = {head, none};
    char comment[AGENT_COMMENT_SIZE];
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = STUB_PATH};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 5), 0);
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        pid_t child = fork();
        int fd, status;

        if (child == 0)
            child_exit(!agent_find(STUB_PATH, &plain, comment, &why) &&
                               strstr(why.text, "gave no answer of an agent's")
                           ? 0
                           : 1);
        fd = accept(listener, NULL, NULL);
        assert_int_equal(send(fd, heads[i], 4, MSG_NOSIGNAL), 4);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        close(fd);
    }
    close(listener);
}

static void note_slow(const char *text)
{
    assert_non_null(strstr(text, "waiting for the ssh-agent at ./agent: it may want a confirmation"));
    told++;
}

/* It is busy with somebody else, or hangs. */
static void a_silent_agent_is_waited_for_and_no_longer(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = STUB_PATH};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    int64_t begun = clock_boot_ns(), seconds;
    struct signature signature;

    (void)state;
    told = 0;
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_false(agent_sign(STUB_PATH, &plain, blob, note_slow, &signature, &why));
    seconds = (clock_boot_ns() - begun) / NSEC_PER_SEC;
    assert_in_range(seconds, 5, 30);
    assert_int_equal(told, 1);
    assert_non_null(strstr(why.text, "the ssh-agent at ./agent has not answered in time"));
    close(listener);
}

static int full;

/* Takes one connection out of the queue, and closes it. */
static void make_room(int signal)
{
    int saved = errno, fd = accept(full, NULL, NULL);

    (void)signal;
    if (fd >= 0)
        close(fd);
    errno = saved;
}

/* One connection fills the queue, so that the next waits for the first signal. The second signal
 * closes it. */
static void a_signal_does_not_end_the_waiting_for_an_agent(void **state)
{
    const struct itimerval often = {{0, 100000}, {0, 100000}}, never = {{0, 0}, {0, 0}};
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = STUB_PATH};
    int filler = socket(AF_UNIX, SOCK_STREAM, 0);
    char comment[AGENT_COMMENT_SIZE];

    (void)state;
    full = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(full, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(full, 0), 0);
    assert_int_equal(connect(filler, (struct sockaddr *)&at, sizeof at), 0);
    signal(SIGALRM, make_room);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    assert_false(agent_find(STUB_PATH, &plain, comment, &why));
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_DFL);
    assert_non_null(strstr(why.text, "has closed the connection without an answer"));
    close(filler);
    close(full);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_enter, scratch_leave)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_found_with_its_comment),
        cmocka_unit_test(another_key_is_not_taken_for_it),
        cmocka_unit_test(an_empty_list_and_a_failure_are_told_apart),
        cmocka_unit_test(a_list_that_is_not_whole_is_none),
        cmocka_unit_test(a_signature_is_read_in_its_form),
        cmocka_unit_test(a_signature_of_another_form_or_size_is_none),
        cmocka_unit_test(the_agent_is_the_one_that_is_named),
        IN_SCRATCH(the_home_directory_is_put_before_the_agents_path),
        cmocka_unit_test(without_an_agent_it_is_said_how_to_name_one),
        IN_SCRATCH(it_signs_by_either_form_of_key),
        IN_SCRATCH(it_is_said_why_an_agent_does_not_sign),
        IN_SCRATCH(an_agent_that_is_not_there_is_named),
        IN_SCRATCH(an_answer_that_is_too_long_is_not_waited_for),
        IN_SCRATCH(a_signal_does_not_end_the_waiting_for_an_agent),
        IN_SCRATCH(a_silent_agent_is_waited_for_and_no_longer),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, make_keys, NULL);
}
