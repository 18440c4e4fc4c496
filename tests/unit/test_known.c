#include "check.h"

#include <errno.h>
#include <sodium.h>

#include "known.h"

/* The scratch directory as the user's configuration. */
static int enter(void **state)
{
    if (scratch_enter(state) != 0)
        return -1;
    setenv("XDG_CONFIG_HOME", *state, 1);
    return mkdir("portsmith", 0700);
}

static void write_server(const char *name, mode_t mode)
{
    char path[100];

    snprintf(path, sizeof path, "portsmith/%s", name);
    scratch_write_text(path, mode,
                       "[Server]\nHost = 192.0.2.1\nPort = 62201\n"
                       "PublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n");
}

static void servers_are_found_in_order(void **state)
{
    struct known known;
    struct error why;

    (void)state;
    write_server("zebra.conf", 0600);
    write_server("bastion.conf", 0600);
    write_server("bastion.key", 0600);
    write_server(".hidden.conf", 0600);
    write_server(".conf", 0600);
    write_server("identity", 0600);
    assert_true(known_find(&known, &why));
    assert_int_equal(known.count, 2);
    assert_string_equal(known.names[0], "bastion");
    assert_string_equal(known.names[1], "zebra");
    known_free(&known);
}

static void without_a_directory_none_is_known(void **state)
{
    struct known known;
    struct error why;

    (void)state;
    assert_int_equal(rmdir("portsmith"), 0);
    assert_true(known_find(&known, &why));
    assert_int_equal(known.count, 0);
    known_free(&known);
}

/* What the error says of a server that is not there. */
static void assert_unknown(const char *name, const char *told)
{
    struct error why;
    struct server *server = server_new(&why);

    assert_non_null(server);
    assert_false(known_read(server, name, &why));
    assert_int_equal(errno, ENOENT);
    if (!strstr(why.text, told))
        fail_msg("'%s' is not in: %s", told, why.text);
    server_free(server);
}

static void the_nearest_name_is_suggested(void **state)
{
    (void)state;
    assert_unknown("bastoin", "no server is known yet");
    write_server("bastion.conf", 0600);
    write_server("web.conf", 0600);
    assert_unknown("bastoin", "did you mean 'bastion'? known servers: bastion, web");
    assert_unknown("bastio", "did you mean 'bastion'?");
    assert_unknown("wab", "did you mean 'web'?");
    assert_unknown("mail", "mail.conf; known servers: bastion, web");
    assert_unknown("xy", "xy.conf; known servers:"); /* all of it would have to change */
}

static void long_lists_are_cut(void **state)
{
    char name[30];

    (void)state;
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "host-%02d.conf", i);
        write_server(name, 0600);
    }
    assert_unknown("elsewhere", "host-15, ...");
}

static void a_known_server_is_read(void **state)
{
    struct error why;
    struct server *server = server_new(&why);

    (void)state;
    write_server("bastion.conf", 0600);
    assert_true(known_read(server, "bastion", &why));
    assert_int_equal(server->port, 62201);
    write_server("loose.conf", 0666);
    assert_false(known_read(server, "loose", &why));
    assert_int_not_equal(errno, ENOENT);
    server_free(server);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, enter, scratch_leave)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_SCRATCH(servers_are_found_in_order),
        IN_SCRATCH(without_a_directory_none_is_known),
        IN_SCRATCH(the_nearest_name_is_suggested),
        IN_SCRATCH(long_lists_are_cut),
        IN_SCRATCH(a_known_server_is_read),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
