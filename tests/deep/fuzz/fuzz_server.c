/* The client's file of a server. */
#include "fuzz.h"

#include "client/server.h"

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
    REQUIRE(s->connect_port_count <= REQUEST_SERVICES);
    for (size_t i = 0; i < s->connect_port_count; i++) {
        const struct connect_port *c = &s->connect_ports[i];

        REQUIRE(c->port != 0 && server_connect_port(s, c->service) == c->port);
        REQUIRE(server_connect_port(s, server_service_port(s, c->port)) != 0);
    }
    REQUIRE(memchr(s->identity, '\0', sizeof s->identity));
    REQUIRE(s->identity[0] == (s->has_ssh_key ? '\0' : '/'));
    REQUIRE(memchr(s->agent, '\0', sizeof s->agent));
    REQUIRE(s->agent[0] == '\0' || (s->has_ssh_key && (s->agent[0] == '/' ||
                                                      strncmp(s->agent, "~/", 2) == 0 ||
                                                      strcmp(s->agent, "SSH_AUTH_SOCK") == 0)));
    REQUIRE(!s->has_ssh_key || (s->has_preshared && s->ssh_key.form != SIGNER_NATIVE));
    REQUIRE(s->address.source != ADDRESS_GIVEN || address_is_grantable(&s->address.given));
}

/* What is printed of it is read again as the same. */
static void check_printed(const struct server *s)
{
    static const char preshared[] =
        "PresharedKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    char text[sizeof "[Server]\n" + SERVER_TEXT_SIZE + sizeof preshared] = "[Server]\n";
    char lines[SERVER_TEXT_SIZE], lines_again[SERVER_TEXT_SIZE];
    struct error why;
    struct server *again = server_new(&why);

    REQUIRE(again && server_format(s, lines) < SERVER_TEXT_SIZE);
    strcat(strcat(text, lines), preshared); /* which an ssh key needs */
    fuzz_write_text("/run/again.conf", text);
    REQUIRE(server_read(again, "/run/again.conf", &why));
    server_format(again, lines_again);
    REQUIRE(strcmp(lines, lines_again) == 0);
    REQUIRE(memcmp(s->public_key, again->public_key, KEY_SIZE) == 0 && s->port == again->port);
    server_free(again);
}

/* The first line as a name: what can be one leads out of no directory. */
static void check_name(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    char *name = input_text(&in);

    name[strcspn(name, "\n")] = '\0';
    if (server_name_is_valid(name))
        REQUIRE(name[0] != '.' && name[0] != '-' && !strchr(name, '/') &&
                strlen(name) < SERVER_NAME_SIZE);
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct error why = {""};
    struct server *server = server_new(&why);

    REQUIRE(server);
    fuzz_write(path, bytes, size);
    if (server_read(server, path, &why)) {
        check_server(server);
        check_printed(server);
    } else {
        REQUIRE(strncmp(why.text, path, sizeof path - 1) == 0);
    }
    check_name(bytes, size);
    server_free(server);
    return 0;
}
