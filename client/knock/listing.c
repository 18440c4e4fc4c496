#include "client/knock/listing.h"

#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/agent.h"
#include "client/cli.h"
#include "client/identity.h"
#include "client/knock/subcommandnames.h"
#include "client/known.h"
#include "common/text/keys.h"
#include "common/text/timespan.h"

/* What is known of one server. */
struct entry {
    const char *name;
    char path[PATH_MAX];   /* of its file */
    struct server *server; /* owned; NULL: its file cannot be used */
    bool has_identity;
    uint8_t public_key[KEY_SIZE]; /* of the identity */
    struct error why;             /* why the server cannot be used; empty: it can */
};

/* ---- reading ------------------------------------------------------------- */

static void read_identity(struct entry *e)
{
    struct identity *identity = identity_read(e->server->identity, &e->why);

    e->has_identity = identity != NULL;
    if (identity)
        memcpy(e->public_key, identity->public_key, sizeof e->public_key);
    identity_free(identity);
}

/* Reads the files of the server called `name`. What is wrong with them is in e->why. No ssh-agent
 * is asked. The caller frees the server. */
static void read_entry(struct entry *e, const char *name)
{
    memset(e, 0, sizeof *e);
    e->name = name;
    if (!known_path(e->path, name, &e->why) || !(e->server = server_new(&e->why)))
        return;
    if (!known_read(e->server, name, &e->why)) {
        server_free(e->server);
        e->server = NULL;
        return;
    }
    cli_tell_notes(&e->server->notes);
    if (!e->server->has_ssh_key)
        read_identity(e);
    if (e->why.text[0] == '\0' && subcommand_exists(name))
        error_set(&e->why, "'%s' is a subcommand; knock with --config %.400s", name, e->path);
}

/* ---- for programs -------------------------------------------------------- */

/* JSON is UTF-8, but a path or an error may be any bytes: if so, all but ASCII becomes question
 * marks. */
static json_t *text_to_json(const char *text)
{
    json_t *json = json_string(text);
    char *ascii = json ? NULL : strdup(text);

    if (!ascii)
        return json;
    for (char *at = ascii; *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    json = json_string(ascii);
    free(ascii);
    return json;
}

static json_t *key_to_json(const uint8_t key[static KEY_SIZE])
{
    char text[KEY_TEXT_SIZE];

    return json_string(key_format(key, text));
}

static json_t *services_to_json(const struct server *server)
{
    json_t *services = json_array();
    char text[SERVICE_TEXT_SIZE];

    for (size_t i = 0; i < server->service_count; i++)
        json_array_append_new(services, json_string(service_format(&server->services[i], text)));
    return services;
}

static json_t *members_to_json(const struct server *server)
{
    json_t *members = json_array();

    for (size_t i = 0; i < server->member_count; i++)
        json_array_append_new(members, json_string(server->members[i]));
    return members;
}

static json_t *connect_ports_to_json(const struct server *server)
{
    json_t *ports = json_object();
    char service[SERVICE_TEXT_SIZE];

    for (uint8_t i = 0; i < server->connect_port_count; i++) {
        const struct connect_port *c = &server->connect_ports[i];

        service_format(&(struct service){IPPROTO_TCP, c->service}, service);
        json_object_set_new(ports, service, json_integer(c->port));
    }
    return ports;
}

static json_t *entry_to_json(const struct entry *e)
{
    bool usable = e->why.text[0] == '\0';
    json_t *object = json_object();
    const struct server *s = e->server;
    char address[ADDRESS_TEXT_SIZE], line[SSH_KEY_LINE_SIZE];

    json_object_set_new(object, "name", json_string(e->name));
    json_object_set_new(object, "file", text_to_json(e->path));
    json_object_set_new(object, "usable", json_boolean(usable));
    json_object_set_new(object, "error", usable ? json_null() : text_to_json(e->why.text));
    if (!s)
        return object;
    json_object_set_new(object, "host", text_to_json(s->host));
    json_object_set_new(object, "members", members_to_json(s));
    json_object_set_new(object, "port", json_integer(s->port));
    json_object_set_new(object, "transport", json_string(transport_name(s->transport)));
    json_object_set_new(object, "public_key", key_to_json(s->public_key));
    json_object_set_new(object, "open", services_to_json(s));
    json_object_set_new(object, "connect_ports", connect_ports_to_json(s));
    json_object_set_new(object, "window", s->window ? json_integer(s->window) : json_null());
    json_object_set_new(object, "address", json_string(server_format_address(s, address)));
    json_object_set_new(object, "identity",
                        s->has_ssh_key ? json_null() : text_to_json(s->identity));
    json_object_set_new(object, "identity_public_key",
                        e->has_identity ? key_to_json(e->public_key) : json_null());
    json_object_set_new(object, "ssh_key",
                        s->has_ssh_key ? text_to_json(ssh_key_format(&s->ssh_key, line))
                                       : json_null());
    json_object_set_new(object, "identity_agent",
                        s->agent[0] != '\0' ? text_to_json(s->agent) : json_null());
    json_object_set_new(object, "preshared_key", json_boolean(s->has_preshared));
    return object;
}

/* Prints `json`, and frees it. It is NULL if memory was short. Returns the exit status. */
static int print_json(json_t *json)
{
    int failed = !json || json_dumpf(json, stdout, JSON_INDENT(2)) != 0 || puts("") == EOF;

    json_decref(json);
    if (!failed)
        return EXIT_SUCCESS;
    return cli_failure(EXIT_FAILURE, &(struct error){"the JSON text could not be written"});
}

static int list_as_json(const struct known *known)
{
    json_t *servers = json_array(), *all = json_object();

    for (size_t i = 0; i < known->count; i++) {
        struct entry e;

        read_entry(&e, known->names[i]);
        json_array_append_new(servers, entry_to_json(&e));
        server_free(e.server);
    }
    json_object_set_new(all, "servers", servers);
    return print_json(all);
}

/* ---- for people ---------------------------------------------------------- */

/* A line of the list. */
struct row {
    const char *name;
    char host[SERVER_HOST_SIZE], opens[REQUEST_SERVICES * SERVICE_TEXT_SIZE];
    struct error why; /* why the server cannot be used; empty: it can */
};

static void read_row(struct row *row, const char *name)
{
    struct entry e;

    read_entry(&e, name);
    row->name = name;
    strcpy(row->host, e.server ? e.server->host : "-");
    strcpy(row->opens, e.server ? "all" : "-");
    if (e.server && e.server->service_count > 0)
        services_format(e.server->services, e.server->service_count, row->opens,
                        sizeof row->opens);
    row->why = e.why;
    server_free(e.server);
}

/* The widths of the columns, but for the last one, in characters. */
struct widths {
    int name, host, opens;
};

static void widen(int *width, const char *text)
{
    if ((int)strlen(text) > *width)
        *width = (int)strlen(text);
}

static void print_row(const struct row *row, const struct widths *w, bool colours)
{
    bool usable = row->why.text[0] == '\0';

    printf("%-*s  %-*s  %-*s  %s%s%s%s%s\n", w->name, row->name, w->host, row->host, w->opens,
           row->opens, !colours ? "" : usable ? "\033[32m" : "\033[31m",
           usable ? "usable" : "not usable", colours ? "\033[0m" : "", usable ? "" : ": ",
           row->why.text);
}

static int list_for_people(const struct known *known)
{
    struct widths w = {sizeof "SERVER" - 1, sizeof "HOST" - 1, sizeof "OPENS" - 1};
    struct row *rows = calloc(known->count, sizeof *rows);
    const char *no_color = getenv("NO_COLOR"); /* no-color.org */
    bool colours = isatty(STDOUT_FILENO) && !(no_color && no_color[0] != '\0');

    if (!rows)
        return cli_failure(EXIT_FAILURE, &(struct error){"out of memory"});
    for (size_t i = 0; i < known->count; i++) {
        read_row(&rows[i], known->names[i]);
        widen(&w.name, rows[i].name);
        widen(&w.host, rows[i].host);
        widen(&w.opens, rows[i].opens);
    }
    printf("%-*s  %-*s  %-*s  STATUS\n", w.name, "SERVER", w.host, "HOST", w.opens, "OPENS");
    for (size_t i = 0; i < known->count; i++)
        print_row(&rows[i], &w, colours);
    free(rows);
    return EXIT_SUCCESS;
}

/* Prints a server file, with comments for what no line of it says. */
static void print_entry(const struct entry *e)
{
    const struct server *s = e->server;
    char lines[SERVER_TEXT_SIZE], key[KEY_TEXT_SIZE];

    server_format(s, lines);
    printf("# %s\n[Server]\n%s", e->path, lines);
    if (s->has_ssh_key)
        printf("IdentityAgent = %s\n", s->agent[0] != '\0' ? s->agent : AGENT_VARIABLE);
    else
        printf("Identity = %s\n", s->identity);
    if (e->has_identity)
        printf("# Its public key: %s\n", key_format(e->public_key, key));
    else if (!s->has_ssh_key)
        printf("# It cannot be used: %s\n", e->why.text);
    if (s->has_preshared)
        puts("# PresharedKey: there is one, which is not shown");
    if (s->service_count == 0)
        puts("# Service: all that the profile permits");
    if (s->window == 0)
        puts("# Window: the profile's own");
    if (s->address.source == ADDRESS_AUTO)
        puts("# Address: auto");
    if (s->transport == TRANSPORT_UDP)
        printf("# Transport: %s\n", transport_name(s->transport));
}

/* ---- either -------------------------------------------------------------- */

int listing_all(bool json)
{
    struct known known;
    struct error why;
    int status = EXIT_SUCCESS;

    if (!known_find(&known, &why))
        return cli_failure(EXIT_FAILURE, &why);
    if (json)
        status = list_as_json(&known);
    else if (known.count > 0)
        status = list_for_people(&known);
    else
        fputs("No server is known yet: see 'portsmith-knock import', or write a server file.\n",
              stderr);
    known_free(&known);
    return status;
}

int listing_one(const char *name, bool json)
{
    struct entry e;
    int status = EXIT_SUCCESS;

    read_entry(&e, name);
    if (!e.server)
        return cli_failure(EX_CONFIG, &e.why);
    if (json)
        status = print_json(entry_to_json(&e));
    else
        print_entry(&e);
    server_free(e.server);
    return status;
}
