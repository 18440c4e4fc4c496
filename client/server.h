/* A server as the client knows it: its file, read and checked. portsmith-servers(5) describes the
 * format. */
#ifndef PORTSMITH_SERVER_H
#define PORTSMITH_SERVER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/envelope.h"
#include "common/error.h"
#include "common/service.h"
#include "common/text/member.h"
#include "common/text/settings.h"
#include "common/text/sshkey.h"
#include "common/text/transport.h"

enum {
    SERVER_NAME_SIZE = 65,                    /* the zero included, as in the next two */
    SERVER_HOST_SIZE = SETTINGS_LINE_MAX - 7, /* a line holds "Host = " and the host */
    /* All lines of server_format, at their longest. */
    SERVER_TEXT_SIZE = 640 + sizeof "SSHKey = \n" + SSH_KEY_LINE_SIZE +
                       (size_t)MEMBERS_MAX * (SETTINGS_LINE_MAX + 1),
};

/* Which address a knock asks the door to be opened for. */
struct address_choice {
    enum {
        ADDRESS_AUTO,     /* the one that connections leave from, signed, if it is global */
        ADDRESS_OBSERVED, /* the one that the server sees, left open in the request */
        ADDRESS_GIVEN,    /* `given`, signed */
    } source;
    struct address given;
};

/* A router passes connections to its own `port` on to the server's tcp/`service`. */
struct connect_port {
    uint16_t service, port;
};

struct server {
    char host[SERVER_HOST_SIZE]; /* name or address */
    uint16_t port;               /* knock port, host order */
    enum transport transport;    /* how knocks travel to it */
    bool has_public_key;
    uint8_t public_key[KEY_SIZE]; /* X25519 */
    struct service services[REQUEST_SERVICES]; /* ascending */
    uint8_t service_count;                     /* 0: all that the profile permits */
    struct connect_port connect_ports[REQUEST_SERVICES]; /* no service and no port twice */
    uint8_t connect_port_count;
    uint32_t window; /* seconds; 0: the profile's own */
    struct address_choice address;
    char members[MEMBERS_MAX][MEMBER_NAME_SIZE]; /* the hosts of its group, which are knocked at in
                                                    place of `host` */
    uint8_t member_count;        /* 0: it is of no group */
    struct settings_notes notes; /* on old words in its file */
    char identity[PATH_MAX]; /* path of the identity's file; "" if there is an ssh key */
    bool has_ssh_key;
    struct ssh_key ssh_key; /* by which an ssh-agent signs */
    char agent[PATH_MAX];   /* what agent_path takes: the path of its socket, or "" */
    bool has_preshared;
    uint8_t preshared[KEY_SIZE]; /* secret */
};

/* Whether `name` can be a SERVER and the name of its file: at most 64 letters, digits, '.', '_' and
 * '-', of which the first is a letter or a digit. */
bool server_name_is_valid(const char *name);

/* A server of which nothing is set. It is in locked memory, and the caller gives it back with
 * server_free. NULL with the reason if there is no memory. */
struct server *server_new(struct error *why);

/* Reads the server file at `path` into *server, which is fresh from server_new. An Identity or
 * IdentityAgent that begins with "~/" counts from the home directory, and one that is not absolute
 * from the directory of the file. A file that holds a PresharedKey must not be readable by others. False with the reason, which names file and line. errno is then ENOENT
 * exactly if the file does not exist. */
bool server_read(struct server *server, const char *path, struct error *why);

/* Writes the value of Address: "auto", "observed", or the address that is given. Returns `text`. */
const char *server_format_address(const struct server *server,
                                  char text[static ADDRESS_TEXT_SIZE]);

/* Writes the lines of the server file, from Host to Address. It leaves out values that are the
 * default, Identity, IdentityAgent and PresharedKey. Returns the size of the text in bytes, without the zero. */
size_t server_format(const struct server *server, char text[static SERVER_TEXT_SIZE]);

/* The port that a connection to tcp/`service` goes to: that of ConnectPort, or else `service`. All
 * ports here are in host order. */
uint16_t server_connect_port(const struct server *server, uint16_t service);

/* The TCP service that a connection to HOST's `port` is meant for: the service of this port or, if
 * none is named so, the one whose ConnectPort it is. */
uint16_t server_service_port(const struct server *server, uint16_t port);

/* Stores the TCP services that are asked for, each with the port that connections to it go to.
 * Returns how many there are. */
unsigned server_doors(const struct server *server, struct service doors[static REQUEST_SERVICES]);

/* Checks what was read from the file at `path`, before paths in it are completed: no key is missing,
 * and those that are given go together. False with the reason. */
bool server_check(const struct server *server, const char *path, const char *section,
                  struct error *why);

/* Wipes and frees the server. NULL is allowed. */
void server_free(struct server *server);

/* Set single values, as the file or an option gives them. `server` points to a struct server. False
 * with what was expected. */
bool server_set_host(void *server, const char *value, struct error *why);
bool server_set_port(void *server, const char *value, struct error *why);
bool server_set_transport(void *server, const char *value, struct error *why);
bool server_set_public_key(void *server, const char *value, struct error *why);
bool server_set_connect_port(void *server, const char *value, struct error *why); /* adds it */
bool server_set_members(void *server, const char *value, struct error *why);      /* adds them */
bool server_set_window(void *server, const char *value, struct error *why);
bool server_set_address(void *server, const char *value, struct error *why);
bool server_set_identity(void *server, const char *value, struct error *why);
bool server_set_ssh_key(void *server, const char *value, struct error *why);
bool server_set_agent(void *server, const char *value, struct error *why);
bool server_set_preshared(void *server, const char *value, struct error *why);

/* Adds one service, such as "tcp/22", in its place in the order. A service that is there already is
 * not added again. False with the reason, as when a knock can name no more of them. */
bool server_add_service(void *server, const char *word, struct error *why);

/* The settings that server files and bundles have in common, for a table of them. What
 * begins with the struct server is filled in; `set_service` takes the value of Service. */
#define SERVER_SETTINGS(set_service)                                                               \
    {"Host", server_set_host, false}, {"Port", server_set_port, false},                            \
    {"Transport", server_set_transport, false}, {"PublicKey", server_set_public_key, false},       \
    {"Service", set_service, true}, {"ConnectPort", server_set_connect_port, true},                \
    {"Member", server_set_members, true},                                                          \
    {"Window", server_set_window, false}, {"Address", server_set_address, false},                  \
    {"SSHKey", server_set_ssh_key, false}, {"IdentityAgent", server_set_agent, false},             \
    {"PresharedKey", server_set_preshared, false}

/* The old words in them. A row of zeros is the last. */
extern const struct old_word server_old_words[];

#endif
