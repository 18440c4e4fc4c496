#include "check.h"

#include <netinet/in.h>
#include <sodium.h>
#include <stdbool.h>

#include "agentstub.h"
#include "client/proxy/gates.h"
#include "common/text/timespan.h"

static uv_loop_t loop;
static struct gates gates;
static struct error why;

static void write_server(const char *name, const char *host, const char *more)
{
    char path[100], text[700];

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

/* ---- by an ssh-agent -------------------------------------------------------- */

/* A gate to this machine itself, whose agent is the test's. */
struct by_agent {
    struct stub stub;
    struct gate *gate;
    struct gate_waiter waiter;
    enum gate_outcome outcome;
    int knocks; /* the socket at the knock port */
};

static void note_outcome(struct gate_waiter *waiter, enum gate_outcome outcome)
{
    struct by_agent *b = (struct by_agent *)((char *)waiter - offsetof(struct by_agent, waiter));

    b->outcome = outcome;
}

static void meet(struct by_agent *b, enum signer_form form, bool closes_after, const char *more)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof to;
    char line[SSH_KEY_LINE_SIZE], text[400];

    stub_start(&b->stub, form);
    b->knocks = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(b->knocks, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(getsockname(b->knocks, (struct sockaddr *)&to, &size), 0);
    setenv("XDG_STATE_HOME", getenv("XDG_CONFIG_HOME"), 1);
    setenv("SSH_AUTH_SOCK", STUB_PATH, 1);
    snprintf(text, sizeof text, "SSHKey = %s\nPresharedKey = "
             "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=\n%s",
             ssh_key_format(&b->stub.key, line), more);
    write_server("agent", "127.0.0.1", text);
    b->gate = gate_new(&loop, "agent", closes_after, &why);
    if (!b->gate)
        fail_msg("%s", why.text);
    b->gate->server->port = ntohs(to.sin_port);
    b->waiter = (struct gate_waiter){.done = note_outcome};
    b->outcome = GATE_FAILED;
    assert_false(gate_enter(b->gate, &b->waiter));
    while (b->gate->is_busy)
        uv_run(&loop, UV_RUN_ONCE);
}

static void part(struct by_agent *b)
{
    gate_leave(b->gate);
    gate_end(b->gate);
    uv_run(&loop, UV_RUN_DEFAULT);
    gate_free(b->gate);
    stub_end(&b->stub);
    close(b->knocks);
    assert_int_equal(remove("portsmith/agent.conf"), 0);
}

/* Says that a connection meets silence, which began before or after the last knock. */
static void prod(struct by_agent *b, bool is_late)
{
    b->gate->turned_at -= 10000;
    b->gate->sent_at -= 10000;
    gate_prod(b->gate, b->gate->turned_at + (is_late ? 1 : 0));
    assert_true(b->gate->is_busy);
    while (b->gate->is_busy)
        uv_run(&loop, UV_RUN_ONCE);
}

static bool is_renewed(const struct gate *gate)
{
    return uv_is_active((const uv_handle_t *)&gate->renewal);
}

static void a_key_in_an_agent_is_asked_for_renewals_too(void **state)
{
    struct by_agent b;

    (void)state;
    meet(&b, SIGNER_SSH, false, "");
    assert_int_equal(b.outcome, GATE_DONE);
    assert_int_equal(b.stub.asked, 1);
    assert_int_equal(b.gate->job.sendings[0].request.window, 0);
    assert_true(is_renewed(b.gate));
    prod(&b, false);
    assert_int_equal(b.stub.asked, 2);
    part(&b);
}

static void a_security_key_is_touched_only_for_a_connection_that_needs_it(void **state)
{
    struct by_agent b;

    (void)state;
    meet(&b, SIGNER_SECURITY_KEY, false, "");
    assert_int_equal(b.outcome, GATE_DONE);
    assert_int_equal(b.stub.asked, 1);
    assert_int_equal(b.gate->job.sendings[0].request.window, TIMESPAN_MAX);
    assert_false(is_renewed(b.gate));
    assert_true(gate_enter(b.gate, &b.waiter)); /* the door counts as open */
    gate_leave(b.gate);
    prod(&b, false); /* the same knock again */
    assert_int_equal(b.stub.asked, 1);
    prod(&b, true);
    assert_int_equal(b.stub.asked, 2);
    assert_false(is_renewed(b.gate));
    prod(&b, true); /* and not one address after the other */
    assert_int_equal(b.gate->job.task, GATE_OPEN);
    part(&b);
}

static void no_touch_is_wanted_to_close(void **state)
{
    struct by_agent b;

    (void)state;
    meet(&b, SIGNER_SECURITY_KEY, true, "");
    assert_int_equal(b.gate->job.sendings[0].request.window, 0); /* the profile's own */
    part(&b);
    assert_int_equal(b.stub.asked, 1);
    meet(&b, SIGNER_SSH, true, "");
    part(&b);
    assert_int_equal(b.stub.asked, 2);
}

/* Nobody may be there, and the proxy may be ending. */
static void an_agent_that_asks_is_not_asked_to_close(void **state)
{
    struct by_agent b;

    (void)state;
    meet(&b, SIGNER_SSH, true, "");
    b.stub.takes = (int64_t)AGENT_SLOW * NSEC_PER_SEC + NSEC_PER_MSEC;
    prod(&b, true);
    assert_true(b.gate->asks);
    assert_int_equal(b.stub.asked, 2);
    part(&b);
    assert_int_equal(b.stub.asked, 2);
}

static void a_refusal_ends_the_round_of_the_addresses(void **state)
{
    struct by_agent b;

    (void)state;
    meet(&b, SIGNER_SSH, false, "");
    b.gate->job.sendings[1] = b.gate->job.sendings[0];
    b.gate->job.sending_count = 2;
    strcpy(b.gate->job.sendings[0].why.text, "another reason");
    b.stub.refuses = true;
    b.gate->asks = b.gate->knocker->asks = false; /* the machine may be slow */
    b.gate->turn = 2;
    prod(&b, false);
    assert_int_equal(b.gate->job.task, GATE_ANEW);
    assert_int_equal(b.stub.asked, 2);
    assert_int_equal(b.gate->job.outcome, GATE_FAILED);
    assert_non_null(strstr(b.gate->job.why.text, "refuses to sign"));
    part(&b);
}

static void a_window_of_ones_own_is_asked_for(void **state)
{
    struct by_agent b;

    (void)state;
    meet(&b, SIGNER_SECURITY_KEY, false, "Window = 5m\n");
    assert_int_equal(b.gate->job.sendings[0].request.window, 300);
    part(&b);
}

static void without_an_agent_the_gate_fails(void **state)
{
    struct by_agent b;

    (void)state;
    meet(&b, SIGNER_SSH, false, "IdentityAgent = nowhere\n");
    assert_int_equal(b.outcome, GATE_FAILED);
    assert_non_null(strstr(b.gate->job.why.text, "no knock was sent to 127.0.0.1: the ssh-agent at "));
    assert_non_null(strstr(b.gate->job.why.text, "nowhere: No such file or directory"));
    assert_int_equal(b.stub.asked, 0);
    part(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_fits_whatever_its_case),
        cmocka_unit_test(the_file_that_opens_the_port_is_meant),
        cmocka_unit_test(addresses_fit_once_they_are_looked_up),
        cmocka_unit_test(a_server_without_an_identity_is_an_error),
        cmocka_unit_test(a_key_in_an_agent_is_asked_for_renewals_too),
        cmocka_unit_test(a_security_key_is_touched_only_for_a_connection_that_needs_it),
        cmocka_unit_test(no_touch_is_wanted_to_close),
        cmocka_unit_test(an_agent_that_asks_is_not_asked_to_close),
        cmocka_unit_test(a_refusal_ends_the_round_of_the_addresses),
        cmocka_unit_test(a_window_of_ones_own_is_asked_for),
        cmocka_unit_test(without_an_agent_the_gate_fails),
    };

    if (sodium_init() < 0)
        return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, enter, leave);
}
