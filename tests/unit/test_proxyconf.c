#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>

#include "client/proxy/proxyconf.h"

static struct proxy_config *config;
static struct error why;

static int begin(void **state)
{
    (void)state;
    config = proxyconf_new(&why);
    return config ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    proxyconf_free(config);
    return 0;
}

static bool reads(const char *text)
{
    scratch_write_text("proxy.ini", 0600, text);
    return proxyconf_read(config, "proxy.ini", &why);
}

static void without_a_file_only_this_machine_is_served(void **state)
{
    (void)state;
    assert_int_equal(config->listen_count, 2);
    for (unsigned i = 0; i < config->listen_count; i++)
        assert_true(proxyconf_is_loopback((struct sockaddr *)&config->listen[i]));
    assert_false(proxyconf_read(config, "missing.ini", &why));
    assert_int_equal(errno, ENOENT);
}

static void all_keys_are_read(void **state)
{
    const struct sockaddr_in6 *v6;

    (void)state;
    assert_true(reads("[Proxy]\nListen = 0.0.0.0:1081, [fd77::1]:9\nUsername = ann\n"
                      "Password = a;b c\nUsers = any\nOthers = refuse\nCloseAfter = yes\n"
                      "HandshakeTimeout = 3\nConnectTimeout = 1m\nIdleTimeout = 2h\n"
                      "MaxConnections = 12\n"));
    v6 = (const void *)&config->listen[1];
    assert_int_equal(config->listen_count, 2);
    assert_int_equal(ntohs(((const struct sockaddr_in *)&config->listen[0])->sin_port), 1081);
    assert_int_equal(ntohs(v6->sin6_port), 9);
    assert_string_equal(config->account.username, "ann");
    assert_string_equal(config->account.password, "a;b c");
    assert_true(config->serves_any_user && config->refuses_others && config->closes_after);
    assert_int_equal(config->handshake_timeout, 3);
    assert_int_equal(config->connect_timeout, 60);
    assert_int_equal(config->idle_timeout, 7200);
    assert_int_equal(config->max_connections, 12);
}

static void wrong_values_are_named(void **state)
{
    static const char *const wrong[][2] = {
        {"[Proxy]\nListen = 127.0.0.1\n", "proxy.ini:2: Listen: '127.0.0.1' is not an address"},
        {"[Proxy]\nListen = ::1:1080\n", "is not an address and a port"},
        {"[Proxy]\nListen = [127.0.0.1]:1080\n", "is not an address and a port"},
        {"[Proxy]\nListen = localhost:1080\n", "is not an address and a port"},
        {"[Proxy]\nListen = 127.0.0.1:0\n", "is not an address and a port"},
        {"[Proxy]\nListen = :1080\n", "is not an address and a port"},
        {"[Proxy]\nOthers = allow\n", "'allow' is neither refuse nor direct"},
        {"[Proxy]\nUsers = root\n", "'root' is neither any nor own"},
        {"[Proxy]\nCloseAfter = 1\n", "'1' is neither yes nor no"},
        {"[Proxy]\nMaxConnections = 0\n", "'0' is not a number from 1 to"},
        {"[Proxy]\nMaxConnections = 100001\n", "is not a number from 1 to"},
        {"[Proxy]\nMaxConnections = 1e3\n", "is not a number from 1 to"},
        {"[Proxy]\nIdleTimeout = 0\n", "proxy.ini:2: IdleTimeout: "},
        {"[Proxy]\nSpeed = 9\n", "unknown key 'Speed'"},
        {"[Proxy]\nUsername =\n", "Username: expected a value"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_false(reads(wrong[i][0]));
        assert_non_null(strstr(why.text, wrong[i][1]));
    }
}

static void elsewhere_needs_a_password(void **state)
{
    (void)state;
    assert_false(reads("[Proxy]\nListen = 0.0.0.0:1080\nUsers = any\n"));
    assert_false(reads("[Proxy]\nListen = 0.0.0.0:1080\n"));
    assert_non_null(strstr(why.text, "set Username and Password"));
}

static void loopback_needs_none(void **state)
{
    (void)state;
    assert_true(reads("[Proxy]\nListen = 127.3.0.1:1080 [::1]:9\n"));
}

static void a_name_needs_a_password(void **state)
{
    (void)state;
    assert_false(reads("[Proxy]\nUsername = ann\n"));
    assert_non_null(strstr(why.text, "Password is missing"));
}

static void a_password_is_nobody_elses(void **state)
{
    (void)state;
    scratch_write_text("proxy.ini", 0644, "[Proxy]\nUsername = ann\nPassword = x\n");
    assert_false(proxyconf_read(config, "proxy.ini", &why));
    assert_non_null(strstr(why.text, "chmod"));
}

static void addresses_have_a_limit(void **state)
{
    char text[512] = "[Proxy]\n";

    (void)state;
    for (int i = 1; i <= PROXY_LISTENERS; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "Listen = 127.0.0.1:%d\n", i);
    assert_true(reads(text));
    strcat(text, "Listen = 127.0.0.1:99\n");
    assert_false(reads(text));
    assert_non_null(strstr(why.text, "at most 8"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_file_only_this_machine_is_served),
        TEST(all_keys_are_read),
        TEST(wrong_values_are_named),
        TEST(elsewhere_needs_a_password),
        TEST(loopback_needs_none),
        TEST(a_name_needs_a_password),
        TEST(a_password_is_nobody_elses),
        TEST(addresses_have_a_limit),
    };

    if (sodium_init() < 0)
        return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
