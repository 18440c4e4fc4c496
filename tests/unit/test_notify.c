#include "check.h"

#include <inttypes.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "daemon/supervisor/notify.h"

/* A service manager that listens in the scratch directory, or under a name of the
 * abstract namespace. */
static int listen_at(const char *path, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(address.sun_path, path, length);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    return fd;
}

static const char *heard(int fd)
{
    static char text[512];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);

    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void set(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

static void environment(const char *socket, const char *watchdog, const char *pid)
{
    set("NOTIFY_SOCKET", socket);
    set("WATCHDOG_USEC", watchdog);
    set("WATCHDOG_PID", pid);
    notify_read_environment();
}

static int manager(void **state)
{
    char path[128];
    int fd;

    snprintf(path, sizeof path, "%s/notify", (char *)*state);
    unlink(path);
    fd = listen_at(path, strlen(path));
    environment(path, NULL, NULL);
    return fd;
}

static void each_message_is_a_datagram(void **state)
{
    int fd = manager(state);

    notify_ready();
    notify_status("ready: 1 profile");
    notify_alive();
    notify_stopping();
    assert_string_equal(heard(fd), "READY=1");
    assert_string_equal(heard(fd), "STATUS=ready: 1 profile");
    assert_string_equal(heard(fd), "WATCHDOG=1");
    assert_string_equal(heard(fd), "STOPPING=1");
    assert_string_equal(heard(fd), "");
    close(fd);
}

static int64_t monotonic_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void a_reload_says_when(void **state)
{
    int fd = manager(state);
    int64_t before = monotonic_us(), said;

    notify_reloading();
    assert_int_equal(sscanf(heard(fd), "RELOADING=1\nMONOTONIC_USEC=%" SCNd64, &said), 1);
    assert_true(said >= before && said <= monotonic_us());
    close(fd);
}

static void an_abstract_socket_is_reached(void **state)
{
    char name[64];
    int fd;

    (void)state;
    snprintf(name, sizeof name, "@portsmith-unit-%d", (int)getpid());
    name[0] = '\0';
    fd = listen_at(name, 1 + strlen(name + 1));
    name[0] = '@';
    environment(name, NULL, NULL);
    notify_ready();
    assert_string_equal(heard(fd), "READY=1");
    close(fd);
}

static void a_long_status_is_cut(void **state)
{
    int fd = manager(state);
    char status[400];

    memset(status, 'x', sizeof status - 1);
    status[sizeof status - 1] = '\0';
    notify_status(status);
    assert_int_equal(strlen(heard(fd)), strlen("STATUS=") + 200);
    close(fd);
}

static void nobody_is_told_without_a_socket(void **state)
{
    char longer[200] = "/";
    static const char *const names[] = {NULL, "", "/", "@", "relative", "vsock:2:1234"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        environment(names[i], "1000000", NULL);
        notify_ready(); /* and no harm is done */
        assert_int_equal(notify_alive_every_ns(), 0);
    }
    memset(longer + 1, 'x', sizeof longer - 2);
    environment(longer, "1000000", NULL);
    notify_ready();
    assert_int_equal(notify_alive_every_ns(), 0);
}

/* What cannot be sent must keep nobody waiting. */
static void a_deaf_manager_does_not_matter(void **state)
{
    int fd = manager(state);

    for (int i = 0; i < 10000; i++)
        notify_alive();
    assert_string_equal(heard(fd), "WATCHDOG=1");
    close(fd);
    notify_alive(); /* refused by now */
}

static void the_watchdog_is_fed_twice_as_often_as_asked(void **state)
{
    char own[16], other[16];
    static const char *const bad[] = {NULL, "", "0", "1", "-5", "+5", " 5", "5s",
                                      "99999999999999999999", "18446744073709551615"};

    close(manager(state));
    snprintf(own, sizeof own, "%d", (int)getpid());
    snprintf(other, sizeof other, "%d", (int)getppid());
    environment("/x", "3000001", own);
    assert_int_equal(notify_alive_every_ns(), 1500000000);
    environment("/x", "3000000", NULL);
    assert_int_equal(notify_alive_every_ns(), 1500000000);
    environment("/x", "3000000", other);
    assert_int_equal(notify_alive_every_ns(), 0);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        environment("/x", bad[i], NULL);
        assert_int_equal(notify_alive_every_ns(), 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_is_a_datagram),
        cmocka_unit_test(a_reload_says_when),
        cmocka_unit_test(an_abstract_socket_is_reached),
        cmocka_unit_test(a_long_status_is_cut),
        cmocka_unit_test(nobody_is_told_without_a_socket),
        cmocka_unit_test(a_deaf_manager_does_not_matter),
        cmocka_unit_test(the_watchdog_is_fed_twice_as_often_as_asked),
    };

    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
