/* How profiles are added and removed: the server file, and what the client gets to know. */
#ifndef PORTSMITH_ENROL_H
#define PORTSMITH_ENROL_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/config/config.h"

enum {
    ENROL_HOST_SIZE = 180,  /* "Host = ..." must fit a line that can be read back */
    ENROL_TEXT_SIZE = 4096, /* any profile, any bundle: the fullest profile, with the line of an ssh
                               key, has some 2200 */
};

struct enrolment {
    const char *config_file;
    struct profile_draft draft; /* as the admin asks for it; 0 means the configuration's value */
    char host[ENROL_HOST_SIZE]; /* how clients reach this server */
    char server[POLICY_NAME_SIZE]; /* how clients call this server */
    uint8_t client_secret[KEY_SIZE]; /* 0: the client has its key; of no use where that is of ssh */
};

/* Makes the name that a client could give to `host`: its first label in lower case, an IP address
 * with dashes, or "server" where neither makes a valid name. */
void enrol_server_name(char name[static POLICY_NAME_SIZE], const char *host);

/* Whether a client can call a server by that name: it is valid as a profile's name is, has no dash
 * in front, and is no command of portsmith-knock. */
bool enrol_server_is_valid(const char *name);

/* Whether a text can be a host name or an IP address, as far as a file can hold one. */
bool enrol_host_is_valid(const char *host);

/* Store what --host and --server say. False with the reason. */
bool enrol_set_host(struct enrolment *e, const char *host, struct error *why);
bool enrol_set_server(struct enrolment *e, const char *name, struct error *why);

/* Fills in the host's own name where --host does not give one, and the server's name. False with
 * the reason. */
bool enrol_complete(struct enrolment *e, struct error *why);

/* Reads the whole configuration, and checks that it would take the profile of *e, whose key is not
 * known yet. Nothing is written. Returns the configuration, which the caller frees, or NULL with
 * *status, an exit status, and *why set. */
struct config *enrol_prepare(const struct enrolment *e, int *status, struct error *why);

/* Writes the files of `count` profiles, one at least, and reads the whole configuration with them;
 * where that fails they are removed again. An existing profile is never touched. Returns the
 * configuration, which the caller frees, or NULL with *status, an exit status, and *why set. */
struct config *enrol_add(const struct enrolment *all, size_t count, int *status,
                         struct error *why);

/* Prints the client's file for this server to standard output. */
void enrol_print_server(const struct enrolment *e, const struct config *c);

/* Prints a bundle without a key of the client's as a QR code, on standard output. False with the
 * reason. */
bool enrol_print_code(const struct enrolment *e, const struct config *c, struct error *why);

/* Writes the bundle to the file `path`, mode 0600. An existing file is never touched. False with
 * the reason. */
bool enrol_write_bundle(const struct enrolment *e, const struct config *c, const char *path,
                        struct error *why);

/* Removes a profile's file, durably: a revoked client does not come back with a power cut. False
 * with the reason. */
bool enrol_remove(const struct config *c, const char *name, struct error *why);

#endif
