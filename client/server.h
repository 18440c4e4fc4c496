/* A server as the client knows it: its file, read and checked. The format is
 * that of portsmith-knock(1). */
#ifndef PORTSMITH_SERVER_H
#define PORTSMITH_SERVER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/address.h"
#include "common/envelope.h"
#include "common/error.h"
#include "common/service.h"
#include "common/text/settings.h"
#include "common/text/transport.h"

enum {
    SERVER_NAME_SIZE = 65,
    SERVER_HOST_SIZE = SETTINGS_LINE_MAX - 7, /* "Host = " and it fit in a line */
    SERVER_TEXT_SIZE = 640,                   /* all lines of server_format, at their longest */
};

/* Which address a knock asks the door to be opened for. */
struct address_choice {
    enum {
        ADDRESS_AUTO,     /* sign the one to connect from, if it is global */
        ADDRESS_OBSERVED, /* leave it to the one that the server sees */
        ADDRESS_GIVEN,    /* sign `given` */
    } source;
    struct address given;
};

/* A router leads connections to its own `port` to that of the server's tcp/`service`. */
struct connect_port {
    uint16_t service, port;
};

struct server {
    char host[SERVER_HOST_SIZE]; /* name or address */
    uint16_t port;               /* knock port, host order */
    enum transport transport;    /* that it is knocked at by */
    bool has_public_key;
    uint8_t public_key[KEY_SIZE]; /* X25519 */
    struct service services[REQUEST_SERVICES]; /* ascending */
    uint8_t service_count;                     /* 0: all that the profile permits */
    struct connect_port connect_ports[REQUEST_SERVICES]; /* each number once on each side */
    uint8_t connect_port_count;
    uint32_t window; /* seconds; 0: the profile's own */
    struct address_choice address;
    char identity[PATH_MAX]; /* path of the identity's file */
    bool has_preshared;
    uint8_t preshared[KEY_SIZE]; /* secret */
};

/* Letters, digits, '.', '_' and '-', beginning with a letter or digit, at most
 * 64: what can be a SERVER and the name of its file. */
bool server_name_is_valid(const char *name);

/* All unset, in locked memory; the caller gives it back with server_free. NULL
 * with the reason if there is none. */
struct server *server_new(struct error *why);

/* Reads the server file at `path` into *server, fresh from server_new, and
 * makes `identity` a path that does not depend on the working directory's
 * being that of the file. Errors name file and line; errno is ENOENT exactly
 * when the file does not exist. The file must not be readable by others when
 * it holds a PresharedKey. */
bool server_read(struct server *server, const char *path, struct error *why);

/* "auto", "observed", or the address that is given. Returns `text`. */
const char *server_format_address(const struct server *server,
                                  char text[static ADDRESS_TEXT_SIZE]);

/* Writes the lines of the server's file, from Host to Address, without those that
 * are at their default, Identity and PresharedKey. Returns the size of the text. */
size_t server_format(const struct server *server, char text[static SERVER_TEXT_SIZE]);

/* The port that tcp/`service` is connected to at, which is `service` but for ConnectPort; and
 * the service that a connection to HOST's `port` is meant for, be it named by its own port
 * or by its ConnectPort. */
uint16_t server_connect_port(const struct server *server, uint16_t service);
uint16_t server_service_port(const struct server *server, uint16_t port);

/* The TCP services that are asked for, each with the port that it is connected to at.
 * Returns how many. */
unsigned server_doors(const struct server *server, struct service doors[static REQUEST_SERVICES]);

/* The key of a server's file that must be given and is not, such as "Host"; NULL if none is
 * missing. */
const char *server_missing(const struct server *server);

/* Wipes and frees; NULL is allowed. */
void server_free(struct server *server);

/* Single values, as the file or an option gives them; `server` is a struct
 * server. False with what was expected. */
bool server_set_host(void *server, const char *value, struct error *why);
bool server_set_port(void *server, const char *value, struct error *why);
bool server_set_transport(void *server, const char *value, struct error *why);
bool server_set_public_key(void *server, const char *value, struct error *why);
bool server_set_connect_port(void *server, const char *value, struct error *why); /* adds one */
bool server_set_window(void *server, const char *value, struct error *why);
bool server_set_address(void *server, const char *value, struct error *why);
bool server_set_identity(void *server, const char *value, struct error *why);
bool server_set_preshared(void *server, const char *value, struct error *why);

/* Adds one service, such as "tcp/22", keeping the order; one given before adds
 * nothing. A knock can name REQUEST_SERVICES of them. */
bool server_add_service(void *server, const char *word, struct error *why);

/* The settings that files of servers and bundles have in common, for a table of them. What
 * begins with the struct server is filled in; `set_open` takes the value of Open. */
#define SERVER_SETTINGS(set_open)                                                                  \
    {"Host", server_set_host, false}, {"Port", server_set_port, false},                            \
    {"Transport", server_set_transport, false}, {"PublicKey", server_set_public_key, false},       \
    {"Open", set_open, true}, {"ConnectPort", server_set_connect_port, true},                      \
    {"Window", server_set_window, false}, {"Address", server_set_address, false},                  \
    {"PresharedKey", server_set_preshared, false}

#endif
