/* The small texts of files and command lines: what is parsed comes back when it is
 * formatted and parsed again, and keys, services, ports and dates have one text
 * only. The first byte chooses which. */
#include "fuzz.h"

#include <netinet/in.h>

#include "common/address.h"
#include "common/service.h"
#include "common/text/keys.h"
#include "common/text/timespan.h"
#include "daemon/portsmith-profile/enrol.h"

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    REQUIRE(sodium_init() >= 0);
    return 0;
}

static void check_key(const char *text)
{
    uint8_t key[KEY_SIZE], again[KEY_SIZE], point[KEY_SIZE];
    char formatted[KEY_TEXT_SIZE];
    struct error why;

    if (!key_parse(key, text, &why))
        return;
    REQUIRE(strcmp(key_format(key, formatted), text) == 0);
    REQUIRE(key_parse(again, formatted, &why) && memcmp(key, again, KEY_SIZE) == 0);
    if (key_convert_public(point, key))
        REQUIRE(!sodium_is_zero(key, KEY_SIZE) && !sodium_is_zero(point, KEY_SIZE));
}

static void check_service(const char *text)
{
    char formatted[SERVICE_TEXT_SIZE];
    struct service service, again;
    struct error why;

    if (!service_parse(&service, text, &why))
        return;
    REQUIRE(service.port != 0);
    REQUIRE(strcmp(service_format(&service, formatted), text) == 0);
    REQUIRE(service_parse(&again, formatted, &why) && service_compare(&service, &again) == 0);
}

static void check_timespan(const char *text)
{
    char formatted[TIMESPAN_TEXT_SIZE];
    uint32_t seconds, again;
    struct error why;

    if (!timespan_parse(&seconds, text, &why))
        return;
    REQUIRE(seconds > 0 && seconds <= TIMESPAN_MAX);
    REQUIRE(timespan_parse(&again, timespan_format(seconds, formatted), &why) && again == seconds);
}

static void check_date(const char *text)
{
    char formatted[DATE_TEXT_SIZE];
    struct error why;
    int64_t end;

    if (date_parse(&end, text, &why))
        REQUIRE(strcmp(date_format(end, formatted), text) == 0 && end % 86400 == 0);
}

static void check_address(const char *text)
{
    char formatted[ADDRESS_TEXT_SIZE];
    struct address address, again;

    if (address_parse_scoped(&address, text) && strchr(text, '%')) {
        REQUIRE(!address_is_ipv4(&address));
        return;
    }
    if (!address_parse(&address, text))
        return;
    REQUIRE(address_parse_scoped(&again, text) && address_equal(&address, &again));
    REQUIRE(address_parse(&again, address_format(&address, formatted)));
    REQUIRE(address_equal(&address, &again));
    REQUIRE(!address_is_global(&address) || address_is_grantable(&address));
}

static void check_prefix(const char *text)
{
    char formatted[PREFIX_TEXT_SIZE];
    struct prefix prefix, again;
    struct error why;

    if (!prefix_parse(&prefix, text, &why))
        return;
    REQUIRE(prefix.length <= 128);
    REQUIRE(prefix_parse(&again, prefix_format(&prefix, formatted), &why));
    REQUIRE(prefix.length == again.length && address_equal(&prefix.address, &again.address));
    /* A prefix shorter than the mapping holds no IPv4 address, its own included. */
    REQUIRE(prefix_contains(&prefix, &prefix.address) ==
            (!address_is_ipv4(&prefix.address) || prefix.length >= 96));
}

/* What clients call a server, and the name of the file that is made of it. */
static void check_host(const char *text)
{
    char name[POLICY_NAME_SIZE];

    if (!enrol_host_is_valid(text))
        return;
    enrol_server_name(name, text);
    REQUIRE(enrol_server_is_valid(name) && profile_name_is_valid(name));
}

/* The other way round, from the value. */
static void check_values(struct input *in)
{
    char service_text[SERVICE_TEXT_SIZE], services_text[SERVICE_TEXT_SIZE];
    char key_text[KEY_TEXT_SIZE], span_text[TIMESPAN_TEXT_SIZE];
    struct sockaddr_in6 at = {.sin6_family = AF_INET6};
    char address_text[ADDRESS_TEXT_SIZE];
    uint8_t key[KEY_SIZE], key_again[KEY_SIZE];
    struct address address, address_again;
    struct service service, service_again;
    uint32_t seconds, seconds_again;
    struct error why;

    input_take(in, &seconds, sizeof seconds);
    seconds = seconds % TIMESPAN_MAX + 1;
    REQUIRE(timespan_parse(&seconds_again, timespan_format(seconds, span_text), &why));
    REQUIRE(seconds == seconds_again);
    input_take(in, &service.port, sizeof service.port);
    service.protocol = input_byte(in) % 2 ? 6 : 17;
    service.port |= service.port == 0;
    REQUIRE(service_parse(&service_again, service_format(&service, service_text), &why));
    REQUIRE(service_compare(&service, &service_again) == 0);
    REQUIRE(strcmp(services_format(&service, 1, services_text, sizeof services_text),
                   service_text) == 0);
    input_take(in, address.bytes, sizeof address.bytes);
    REQUIRE(address_parse(&address_again, address_format(&address, address_text)));
    REQUIRE(address_equal(&address, &address_again));
    memcpy(&at.sin6_addr, address.bytes, sizeof at.sin6_addr);
    REQUIRE(address_from_sockaddr(&address_again, (const struct sockaddr *)&at));
    REQUIRE(address_equal(&address, &address_again));
    input_take(in, key, sizeof key);
    REQUIRE(key_parse(key_again, key_format(key, key_text), &why));
    REQUIRE(memcmp(key, key_again, KEY_SIZE) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const checks[])(const char *text) = {
        check_key,     check_service, check_timespan, check_date,
        check_address, check_prefix,  check_host};
    static const char letters[] = "kstdaph";
    struct input in = {bytes, size};
    const char *which = memchr(letters, input_byte(&in), sizeof letters - 1);
    char *text;

    if (!which) {
        check_values(&in);
        return 0;
    }
    text = input_text(&in);
    checks[which - letters](text);
    free(text);
    return 0;
}
