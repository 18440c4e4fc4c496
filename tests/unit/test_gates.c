#include "check.h"

#include <sodium.h>
#include <stdbool.h>

#include "client/proxy/gates.h"

static uv_loop_t loop;
static struct gates gates;
static struct error why;

static void write_server(const char *name, const char *host, const char *more)
{
    char path[100], text[300];

    snprintf(path, sizeof path, "portsmith/%s.conf", name);
    snprintf(text, sizeof text, "[Server]\nHost = %s\nPort = 62201\n"
             "PublicKey = hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n%s", host, more);
    scratch_write_text(path, 0600, text);
}

static int enter(void **state)
{
    uint8_t public_key[KEY_SIZE];

    if (scratch_enter(state) != 0)
        return -1;
    setenv("XDG_CONFIG_HOME", *state, 1);
    if (mkdir("portsmith", 0700) != 0 ||
        !identity_create("portsmith/identity", public_key, &why) || uv_loop_init(&loop) != 0)
        return -1;
    write_server("any", "Door.example.net.", "");
    write_server("ssh", "198.51.100.7", "Service = tcp/22, udp/53\n");
    write_server("web", "198.51.100.7", "Service = tcp/80\nConnectPort = tcp/80 8080\n");
    return gates_open(&gates, &loop, false, &why) ? 0 : -1;
}

static int leave(void **state)
{
    gates_end(&gates);
    uv_run(&loop, UV_RUN_DEFAULT);
    gates_free(&gates);
    return uv_loop_close(&loop) == 0 ? scratch_leave(state) : -1;
}

static void check_name(const char *name, uint16_t port, const char *server)
{
    const struct gate *gate = gates_by_name(&gates, name, port);

    if (server)
        assert_string_equal(gate ? gate->name : "none", server);
    else
        assert_null(gate);
}

static void a_name_fits_whatever_its_case(void **state)
{
    (void)state;
    check_name("door.example.net", 22, "any");
    check_name("DOOR.EXAMPLE.NET", 8080, "any");
    check_name("door.example.ne", 22, NULL);
    check_name("door.example.net.org", 22, NULL);
    check_name("", 22, NULL);
}

static void the_file_that_opens_the_port_is_meant(void **state)
{
    (void)state;
    check_name("198.51.100.7", 22, "ssh");
    check_name("198.51.100.7", 80, "web");
    check_name("198.51.100.7", 8080, "web");
    check_name("198.51.100.7", 53, NULL); /* udp, not tcp */
    check_name("198.51.100.8", 22, NULL);
}

static void check_address(const char *text, uint16_t port, const char *server)
{
    struct address address;
    const struct gate *gate;

    assert_true(address_parse(&address, text));
    gate = gates_by_address(&gates, &address, port);
    assert_string_equal(gate ? gate->name : "none", server);
}

/* Those of a literal Host need no name server; the other's name is not looked up here. */
static void addresses_fit_once_they_are_looked_up(void **state)
{
    (void)state;
    check_address("198.51.100.7", 22, "none");
    assert_string_equal(gates_unresolved(&gates)->name, "any");
    gate_refresh(gates.all[1]);
    gate_refresh(gates.all[2]);
    uv_run(&loop, UV_RUN_DEFAULT);
    check_address("198.51.100.7", 22, "ssh");
    check_address("198.51.100.7", 80, "web");
    check_address("198.51.100.7", 443, "none");
    check_address("198.51.100.9", 22, "none");
    check_address("fd77::1", 22, "none");
}

static void a_server_without_an_identity_is_an_error(void **state)
{
    struct gates other;

    (void)state;
    write_server("zoe", "192.0.2.1", "Identity = missing\n");
    assert_false(gates_open(&other, &loop, false, &why));
    assert_non_null(strstr(why.text, "missing"));
    gates_end(&other);
    uv_run(&loop, UV_RUN_DEFAULT);
    gates_free(&other);
    assert_int_equal(remove("portsmith/zoe.conf"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_fits_whatever_its_case),
        cmocka_unit_test(the_file_that_opens_the_port_is_meant),
        cmocka_unit_test(addresses_fit_once_they_are_looked_up),
        cmocka_unit_test(a_server_without_an_identity_is_an_error),
    };

    if (sodium_init() < 0)
        return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, enter, leave);
}
