#include "check.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "daemon/supervisor/control.h"

static struct config config;
static struct control control;

static int start(void **state)
{
    struct error why;

    if (scratch_enter(state) != 0)
        return -1;
    memset(&config, 0, sizeof config);
    snprintf(config.run_directory, sizeof config.run_directory, "%s", (const char *)*state);
    return control_open(&control, &config, &why) ? 0 : -1;
}

static int end(void **state)
{
    control_close(&control);
    assert_int_equal(access("control", F_OK), -1);
    return scratch_leave(state);
}

static int connect_client(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "control"};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const void *what, size_t size)
{
    assert_int_equal(send(fd, what, size, MSG_NOSIGNAL), size);
}

static bool was_hung_up_on(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void one_request_gets_one_reply(void **state)
{
    static const struct control_request request = {.verb = CONTROL_STATUS};
    static const struct control_reply reply = {.verb = CONTROL_STATUS, .result = CONTROL_DONE};
    static struct control_reply got;
    struct control_client *client;
    int fd = connect_client();

    (void)state;
    say(fd, &request, sizeof request);
    control_serve(&control);
    client = control_next(&control);
    assert_non_null(client);
    assert_true(client->is_root);
    control_reply(client, &reply);
    assert_int_equal(recv(fd, &got, sizeof got, MSG_DONTWAIT), sizeof got);
    assert_memory_equal(&got, &reply, sizeof got);
    assert_true(was_hung_up_on(fd));
    assert_null(control_next(&control));
    close(fd);
}

static void any_other_size_or_form_is_hung_up_on(void **state)
{
    struct control_request wrong = {.verb = CONTROL_STATUS, .kill = 1};
    char large[sizeof wrong + 1] = {CONTROL_STATUS};
    int fd;

    (void)state;
    for (size_t size = 0; size <= sizeof large; size++) {
        if (size == sizeof wrong)
            continue;
        fd = connect_client();
        say(fd, large, size);
        control_serve(&control);
        assert_true(was_hung_up_on(fd));
        close(fd);
    }
    fd = connect_client();
    say(fd, &wrong, sizeof wrong);
    control_serve(&control);
    assert_true(was_hung_up_on(fd));
    assert_null(control_next(&control));
    close(fd);
}

static void a_second_request_is_hung_up_on(void **state)
{
    static const struct control_request request = {.verb = CONTROL_LIST};
    int fd = connect_client();

    (void)state;
    say(fd, &request, sizeof request);
    control_serve(&control);
    assert_non_null(control_next(&control));
    say(fd, &request, sizeof request);
    control_serve(&control);
    assert_true(was_hung_up_on(fd));
    assert_null(control_next(&control));
    close(fd);
}

static void who_is_silent_makes_room_and_is_hung_up_on_in_time(void **state)
{
    static const struct control_request request = {.verb = CONTROL_STATUS};
    int silent[CONTROL_CLIENTS + 1], fd;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(silent); i++) {
        silent[i] = connect_client();
        control_serve(&control);
    }
    assert_true(was_hung_up_on(silent[0])); /* the oldest */
    assert_false(was_hung_up_on(silent[1]));
    fd = connect_client();
    say(fd, &request, sizeof request);
    control_serve(&control);
    assert_non_null(control_next(&control));
    assert_true(control_next_end(&control) > 0);
    for (size_t i = 0; i < CONTROL_CLIENTS; i++)
        control.clients[i].until = 1; /* long ago */
    control_serve(&control);
    for (size_t i = 0; i < COUNT_OF(silent); i++) {
        assert_true(was_hung_up_on(silent[i]));
        close(silent[i]);
    }
    assert_int_equal(control_next_end(&control), 0);
    close(fd);
}

static void who_came_first_is_served_first_and_asks_again_of_another_helper(void **state)
{
    static const struct control_request request = {.verb = CONTROL_LIST};
    int first = connect_client(), second = connect_client();
    struct control_client *client;

    (void)state;
    say(second, &request, sizeof request);
    say(first, &request, sizeof request);
    control_serve(&control);
    client = control_next(&control);
    client->state = CONTROL_ASKED;
    assert_ptr_equal(control_asked(&control), client);
    assert_ptr_not_equal(control_next(&control), client);
    control_ask_again(&control);
    assert_null(control_asked(&control));
    assert_ptr_equal(control_next(&control), client);
    close(first);
    control_serve(&control);
    assert_ptr_not_equal(control_next(&control), client);
    close(second);
}

static void the_mode_is_for_root_alone_or_for_the_group(void **state)
{
    struct stat s;
    struct error why;

    (void)state;
    assert_int_equal(stat("control", &s), 0);
    assert_int_equal(s.st_mode, S_IFSOCK | 0600);
    control_close(&control);
    strcpy(config.control_group, "some");
    config.control_gid = 12345;
    assert_true(control_open(&control, &config, &why));
    assert_int_equal(stat("control", &s), 0);
    assert_int_equal(s.st_mode, S_IFSOCK | 0660);
    assert_int_equal(s.st_gid, 12345);
    assert_int_equal(getegid(), 0);
    assert_int_equal(access("control.new", F_OK), -1);
}

static void a_run_directory_of_anothers_group_is_refused(void **state)
{
    struct error why;

    (void)state;
    control_close(&control);
    strcpy(config.control_group, "some");
    config.control_gid = 12345;
    assert_int_equal(chown(".", 0, 54321), 0);
    assert_int_equal(chmod(".", 02755), 0);
    assert_false(control_open(&control, &config, &why));
    assert_non_null(strstr(why.text, "setgid"));
    assert_int_equal(access("control", F_OK), -1);
    assert_int_equal(access("control.new", F_OK), -1);
}

/* Connects as another user and group; whether the daemon's side lets it in. */
static bool lets_in(uid_t uid, gid_t gid, gid_t supplementary)
{
    static const struct control_request request = {.verb = CONTROL_LIST};
    struct control_client *client;
    bool admitted;
    int ready[2], status;
    pid_t child;
    char byte;

    assert_int_equal(chmod("control", 0666), 0);
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        if (setgroups(1, &supplementary) != 0 || setresgid(gid, gid, gid) != 0 ||
            setresuid(uid, uid, uid) != 0)
            child_exit(1);
        say(connect_client(), &request, sizeof request);
        if (write(ready[1], "", 1) == 1)
            pause();
        child_exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1); /* it has asked */
    close(ready[0]);
    control_serve(&control);
    client = control_next(&control);
    admitted = client != NULL;
    if (client)
        assert_false(client->is_root);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    control_serve(&control);
    return admitted;
}

static void members_of_the_group_are_let_in(void **state)
{
    struct error why;

    (void)state;
    assert_false(lets_in(1234, 12345, 12345)); /* there is no group yet */
    control_close(&control);
    strcpy(config.control_group, "some");
    config.control_gid = 12345;
    assert_true(control_open(&control, &config, &why));
    assert_true(lets_in(1234, 12345, 1));
    assert_true(lets_in(1234, 1, 12345));
    assert_false(lets_in(1234, 1, 2));
}

/* A member with more connections than there are places, each of which asks, or not. */
static pid_t crowd(bool asks)
{
    static const struct control_request request = {.verb = CONTROL_LIST};
    int ready[2];
    pid_t child;
    char byte;

    assert_int_equal(chmod("control", 0666), 0);
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(12345, 12345, 12345) != 0 ||
            setresuid(1000, 1000, 1000) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
            child_exit(1);
        for (int i = 0; i <= CONTROL_CLIENTS; i++) {
            int fd = connect_client();

            if (asks)
                say(fd, &request, sizeof request);
        }
        if (write(ready[1], "", 1) == 1)
            pause();
        child_exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    control_serve(&control);
    return child;
}

static void members_leave_places_to_root(void **state)
{
    static const struct control_request request = {.verb = CONTROL_STATUS};
    struct error why;

    (void)state;
    control_close(&control);
    strcpy(config.control_group, "some");
    config.control_gid = 12345;
    assert_true(control_open(&control, &config, &why));
    for (int asks = 0; asks < 2; asks++) {
        pid_t child = crowd(asks);
        int fds[CONTROL_CLIENTS - CONTROL_MEMBERS];
        size_t of_root = 0;

        for (size_t i = 0; i < COUNT_OF(fds); i++) {
            fds[i] = connect_client();
            say(fds[i], &request, sizeof request);
            control_serve(&control);
            assert_false(was_hung_up_on(fds[i]));
        }
        for (size_t i = 0; i < CONTROL_CLIENTS; i++)
            of_root += control.clients[i].fd >= 0 && control.clients[i].is_root;
        assert_int_equal(of_root, COUNT_OF(fds));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        for (size_t i = 0; i < COUNT_OF(fds); i++)
            close(fds[i]);
        control_serve(&control);
    }
}

static void only_canonical_requests_are_such(void **state)
{
    static const struct control_request right[] = {
        {.verb = CONTROL_STATUS},
        {.verb = CONTROL_LIST, .id = 5},
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_ID, .id = 5, .kill = 1},
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_PROFILE, .profile = "ssh"},
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_ALL},
        {.verb = CONTROL_RELOAD},
        {.verb = CONTROL_RELEASE},
        {.verb = CONTROL_REVOKE, .scope = HELPER_SCOPE_PROFILE, .kill = 1, .profile = "ssh"},
    };
    static const struct control_request wrong[] = {
        {.verb = 0},
        {.verb = CONTROL_REVOKE + 1},
        {.verb = CONTROL_REVOKE, .scope = HELPER_SCOPE_PROFILE, .kill = 1},
        {.verb = CONTROL_REVOKE, .scope = HELPER_SCOPE_PROFILE, .profile = "ssh"},
        {.verb = CONTROL_REVOKE, .scope = HELPER_SCOPE_PROFILE, .id = 1, .kill = 1, .profile = "ssh"},
        {.verb = CONTROL_REVOKE, .scope = HELPER_SCOPE_ALL, .kill = 1},
        {.verb = CONTROL_STATUS, .id = 1},
        {.verb = CONTROL_LIST, .kill = 1},
        {.verb = CONTROL_RELOAD, .profile = "ssh"},
        {.verb = CONTROL_CLOSE},
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_ID},
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_PROFILE},
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_PROFILE, .profile = "../x"},
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_PROFILE, .profile = "a\0b"},
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_PROFILE,
         .profile = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, /* without an end */
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_ALL, .id = 1},
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_ALL, .profile = "ssh"},
        {.verb = CONTROL_CLOSE, .scope = HELPER_SCOPE_ALL + 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(right); i++)
        assert_true(control_request_is_canonical(&right[i]));
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(control_request_is_canonical(&wrong[i]));
}

#define WITH_SOCKET(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SOCKET(one_request_gets_one_reply),
        WITH_SOCKET(any_other_size_or_form_is_hung_up_on),
        WITH_SOCKET(a_second_request_is_hung_up_on),
        WITH_SOCKET(who_is_silent_makes_room_and_is_hung_up_on_in_time),
        WITH_SOCKET(who_came_first_is_served_first_and_asks_again_of_another_helper),
        WITH_SOCKET(the_mode_is_for_root_alone_or_for_the_group),
        WITH_SOCKET(a_run_directory_of_anothers_group_is_refused),
        WITH_SOCKET(members_leave_places_to_root),
        WITH_SOCKET(members_of_the_group_are_let_in),
        cmocka_unit_test(only_canonical_requests_are_such),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
