#include "forbidden.h"

#include <errno.h>
#include <sodium.h>

#include "client/known.h"

/* The scratch directory as the user's configuration. */
static int enter(void **state)
{
    if (scratch_enter(state) != 0)
        return -1;
    setenv("XDG_CONFIG_HOME", *state, 1);
    return mkdir("portsmith", 0700);
}

static void write_server_of(const char *name, const char *host, mode_t mode)
{
    char path[100], text[200];

    snprintf(path, sizeof path, "portsmith/%s", name);
    snprintf(text, sizeof text,
             "[Server]\nHost = %s\nPort = 62201\n"
             "PublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n", host);
    scratch_write_text(path, mode, text);
}

static void write_server(const char *name, mode_t mode)
{
    write_server_of(name, "192.0.2.1", mode);
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

/* As of a file system with numbers of files that are too large, or a disk that breaks. */
static bool reading_directories_fails(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    return filter &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(EOVERFLOW), SCMP_SYS(getdents64), 0) == 0 &&
           seccomp_load(filter) == 0;
}

static void be_told_so(void)
{
    struct known known;
    struct error why = {""};

    if (known_find(&known, &why) || !strstr(why.text, strerror(EOVERFLOW)))
        child_exit(1);
}

static void a_directory_that_cannot_be_read_is_no_empty_one(void **state)
{
    (void)state;
    write_server("bastion.conf", 0600);
    assert_true(went_well(confined(reading_directories_fails, be_told_so)));
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

/* ---- by host ------------------------------------------------------------- */

static void assert_host(const char *host, const char *of_server)
{
    struct error why = {""};
    struct server *server = server_new(&why);

    if (!known_read_host(server, host, &why))
        fail_msg("%s: %s", host, why.text);
    assert_string_equal(server->host, of_server);
    server_free(server);
}

static void assert_no_host(const char *host, const char *told)
{
    struct error why;
    struct server *server = server_new(&why);

    assert_false(known_read_host(server, host, &why));
    if (!strstr(why.text, told))
        fail_msg("'%s' is not in: %s", told, why.text);
    server_free(server);
}

static void a_host_is_the_name_of_a_file_or_its_host(void **state)
{
    (void)state;
    write_server_of("Bastion.conf", "Bastion.Example.net", 0600);
    write_server_of("web.conf", "2001:DB8::1", 0600);
    assert_host("Bastion", "Bastion.Example.net");
    assert_host("bastion", "Bastion.Example.net");
    assert_host("bastion.example.net", "Bastion.Example.net");
    assert_host("2001:db8::1", "2001:DB8::1");
}

static void the_file_with_that_host_comes_first(void **state)
{
    (void)state;
    write_server_of("BASTION.conf", "second", 0600);
    write_server_of("bastion.conf", "first", 0600);
    assert_host("bastion", "first");
    assert_host("Bastion", "second");
    write_server_of("z.conf", "Bastion", 0600); /* whatever the others are called */
    assert_host("bastion", "Bastion");
    assert_host("BASTION", "Bastion");
}

static void a_host_of_several_files_is_refused(void **state)
{
    (void)state;
    write_server_of("a.conf", "example.net", 0600);
    write_server_of("b.conf", "Example.net", 0600);
    assert_no_host("example.net", "the servers 'a' and 'b' both have the Host 'example.net'; use");
    assert_host("b", "Example.net");
    write_server_of("example.net.conf", "192.0.2.1", 0600);
    assert_no_host("example.net", "the servers 'a' and 'b' both have the Host 'example.net'; use");
    write_server_of("example.net.conf", "EXAMPLE.net", 0600);
    assert_host("example.net", "EXAMPLE.net");
}

static void an_unknown_host_gets_the_nearest(void **state)
{
    (void)state;
    assert_no_host("bastion", "no server is known yet");
    write_server_of("home.conf", "bastion.example.net", 0600);
    assert_no_host("hone", "there is no server file that is called 'hone' or has it as its Host; "
                           "did you mean 'home'? known servers: home");
    assert_no_host("bastoin.EXAMPLE.net", "did you mean 'bastion.example.net'?");
    assert_no_host("elsewhere.example.org", "as its Host; known servers: home");
}

static void a_member_is_told_of_with_its_group(void **state)
{
    (void)state;
    write_server_of("home.conf", "home.example.net", 0600);
    write_server_of("web.conf", "web.example.net\nMember = a.example.net\nMember = b.example.net", 0600);
    assert_no_host("B.example.net", "'B.example.net' is a Member in the server file 'web', ");
    assert_no_host("B.example.net", "Match host B.example.net exec \"portsmith-knock web\"");
    assert_no_host("c.example.net", "as its Host; known servers: home, web");
}

static void a_file_that_is_wrong_matters_only_if_named(void **state)
{
    (void)state;
    write_server_of("loose.conf", "loose.example.net", 0666);
    write_server_of("sound.conf", "sound.example.net", 0600);
    assert_host("sound.example.net", "sound.example.net");
    assert_no_host("loose", "chmod go-w");
    assert_no_host("loose.example.net", "known servers: loose, sound");
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, enter, scratch_leave)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_SCRATCH(servers_are_found_in_order),
        IN_SCRATCH(without_a_directory_none_is_known),
        IN_SCRATCH(a_directory_that_cannot_be_read_is_no_empty_one),
        IN_SCRATCH(the_nearest_name_is_suggested),
        IN_SCRATCH(long_lists_are_cut),
        IN_SCRATCH(a_known_server_is_read),
        IN_SCRATCH(a_host_is_the_name_of_a_file_or_its_host),
        IN_SCRATCH(the_file_with_that_host_comes_first),
        IN_SCRATCH(a_host_of_several_files_is_refused),
        IN_SCRATCH(an_unknown_host_gets_the_nearest),
        IN_SCRATCH(a_member_is_told_of_with_its_group),
        IN_SCRATCH(a_file_that_is_wrong_matters_only_if_named),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
