#include "check.h"

#include <netinet/in.h>

#include "common/service.h"

static void every_service_survives_its_text(void **state)
{
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
    char text[SERVICE_TEXT_SIZE];
    struct service s, again;
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(protocols); i++) {
        for (unsigned port = 1; port <= UINT16_MAX; port++) {
            s = (struct service){.protocol = protocols[i], .port = (uint16_t)port};
            assert_true(service_parse(&again, service_format(&s, text), &why));
            assert_int_equal(service_compare(&s, &again), 0);
        }
    }
}

static void other_texts_are_refused(void **state)
{
    static const char *const texts[] = {
        "",        "tcp",      "tcp/",     "22",          "/22",     "tcp/0",  "tcp/65536",
        "tcp/022", "tcp/-1",   "tcp/+1",   "tcp/ 22",     "tcp/22 ", " tcp/22", "TCP/22",
        "tcp/ssh", "sctp/22",  "tcp/22/1", "tcp/0x16",    "tcp:22",  "udp/99999", "tcp/184467440737",
        "tcp/1e3", "icmp/8",   "tcp//22",  "tcp/22\n",
    };
    struct error why;
    struct service s;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        why.text[0] = '\0';
        if (service_parse(&s, texts[i], &why))
            fail_msg("'%s' was taken for a service", texts[i]);
        assert_true(why.text[0] != '\0');
    }
}

static void order_is_by_protocol_then_port(void **state)
{
    static const struct service ascending[] = {
        {IPPROTO_TCP, 1}, {IPPROTO_TCP, 22}, {IPPROTO_TCP, 65535}, {IPPROTO_UDP, 1}, {IPPROTO_UDP, 53},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ascending); i++) {
        for (size_t j = 0; j < COUNT_OF(ascending); j++) {
            int order = service_compare(&ascending[i], &ascending[j]);

            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_service_survives_its_text),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(order_is_by_protocol_then_port),
    };

    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
