/* The client's file of a server. */
#include "fuzz.h"

#include "server.h"

static const char path[] = "/run/home.conf";

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    return 0;
}

static void check_server(const struct server *s)
{
    REQUIRE(memchr(s->host, '\0', sizeof s->host) && s->host[0] && s->host[0] != '-');
    REQUIRE(s->port != 0 && s->has_public_key && s->service_count <= REQUEST_SERVICES);
    for (size_t i = 1; i < s->service_count; i++)
        REQUIRE(service_compare(&s->services[i - 1], &s->services[i]) < 0);
    REQUIRE(s->identity[0] == '/' && memchr(s->identity, '\0', sizeof s->identity));
    REQUIRE(s->address.source != ADDRESS_GIVEN || address_is_grantable(&s->address.given));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct error why = {""};
    struct server *server = server_new(&why);

    REQUIRE(server);
    fuzz_write(path, bytes, size);
    if (server_read(server, path, &why))
        check_server(server);
    else
        REQUIRE(strncmp(why.text, path, sizeof path - 1) == 0);
    server_free(server);
    return 0;
}
