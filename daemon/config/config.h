/* The server's whole configuration: portsmith.conf, the server's key and every profile. It is read
 * once, checked whole, and never edited: a reload reads a new one. */
#ifndef PORTSMITH_CONFIG_H
#define PORTSMITH_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/pool.h"
#include "common/text/member.h"
#include "common/text/settings.h"
#include "common/text/transport.h"
#include "daemon/config/limits.h"
#include "daemon/config/profile.h"

#define CONFIG_FILE "/etc/portsmith.conf" /* unless -c names another */

enum {
    CONFIG_USER_SIZE = 33,
    CONFIG_FINGERPRINT_SIZE = 16,
    CONFIG_SHARED_ADDRESSES = 8,
    CONFIG_PROFILE_PATH_SIZE = CONFIG_PATH_SIZE + POLICY_NAME_SIZE + 5, /* "/NAME.conf" */
    CONFIG_INIT_SIZE = PATH_MAX + sizeof "portsmith-profile -c  init",
    CONFIG_ROSTER_KEYS = 4,
    CONFIG_ROSTER_PROFILES = 32,
};

/* What a roster (roster.h) says of itself, and whom it shuts out. */
struct roster {
    uint64_t version;             /* 0: there is no roster */
    int64_t not_after;            /* first second of invalidity, epoch */
    uint8_t (*revoked)[KEY_SIZE]; /* public keys of clients, ascending; owned */
    size_t revoked_count;
};

/* A whole file, in memory. */
struct rosterfile {
    char *bytes; /* owned; NULL: there is none */
    size_t size;
};

struct config {
    char interfaces[CONFIG_INTERFACES][CONFIG_INTERFACE_NAME_SIZE]; /* or "any" alone */
    uint8_t interface_count;
    uint16_t port; /* knock port, host order */
    unsigned transports; /* that knocks may come by: bits 1 << enum transport */
    enum backend backend;
    enum backend backend_in_use; /* with BACKEND_AUTO: that too until a helper has chosen */
    enum grant_store grant_store;
    struct service shut[SHUT_SERVICES]; /* ascending */
    uint8_t shut_count;
    bool shut_with_reset;
    bool forward; /* grants count for what passes through this host, too */
    uint32_t accept_mark; /* bits that a granted packet's mark is given; 0: none */
    bool skew_checked;
    uint32_t max_skew;   /* seconds */
    uint32_t window;     /* seconds; the default of profiles */
    uint32_t max_window; /* seconds; the default of profiles */
    uint32_t max_grants; /* in all */
    char user[CONFIG_USER_SIZE]; /* whom the sniffer becomes */
    uid_t uid;
    gid_t gid;
    char witness_user[CONFIG_USER_SIZE]; /* whom the witness becomes */
    uid_t witness_uid;
    gid_t witness_gid;
    char control_group[CONFIG_USER_SIZE]; /* who may use the control socket besides root;
                                             empty: nobody */
    gid_t control_gid; /* of that group, if there is one */
    char profile_directory[CONFIG_PATH_SIZE];
    char state_directory[CONFIG_PATH_SIZE];
    char run_directory[CONFIG_PATH_SIZE];
    char metrics_file[CONFIG_PATH_SIZE]; /* empty: none is written */
    char group[POLICY_NAME_SIZE]; /* the hosts that share the server's key; empty: it is this
                                     host's alone, and the next four are empty, too */
    char member[MEMBER_NAME_SIZE]; /* by which clients name this host */
    char peers[MEMBERS_MAX - 1][MEMBER_NAME_SIZE]; /* the other members, as clients are told */
    uint8_t peer_count;
    struct address shared[CONFIG_SHARED_ADDRESSES]; /* that stand for all members */
    uint8_t shared_count;
    uint8_t roster_keys[CONFIG_ROSTER_KEYS][KEY_SIZE]; /* with which rosters are signed; none: there
                                                          is no roster */
    uint8_t roster_key_count;
    struct helper_destination roster_services[SHUT_SERVICES]; /* that a roster may open here; with
                                                                 port 0 one of this host */
    uint8_t roster_service_count;
    char roster_profiles[CONFIG_ROSTER_PROFILES][POLICY_NAME_SIZE]; /* patterns, fnmatch(3) */
    uint8_t roster_profile_count; /* 0: all of a roster's profiles count */
    struct roster roster; /* what is used of it */
    struct rosterfile roster_to_keep; /* there is none where it is the one that is kept */
    size_t revoked_count; /* of profiles that have files here, and that it shuts out */
    struct error roster_trouble; /* why it is not the one that ought to be; or empty */
    uint8_t server_public[KEY_SIZE];
    struct profile *profiles; /* locked memory; sorted by name; complete: the
                                 defaults are filled in */
    size_t profile_count;
    struct pool policies; /* of the profiles */
    uint16_t ports[CONFIG_KNOCK_PORTS]; /* every knock port in use, ascending */
    uint8_t port_count;
    struct settings_notes notes; /* on old words in all the files */
    uint8_t fingerprint[CONFIG_FINGERPRINT_SIZE]; /* of all of the above, keys too: BLAKE2b */
    uint8_t shared_fingerprint[CONFIG_FINGERPRINT_SIZE]; /* of the profiles alone, which all members
                                                            of a group should have alike */
};

/* Reads everything that `path` leads to; sodium_init comes first. NULL with "file:line: what was
 * expected" in *why if any of it is wrong. The server's secret key and the
 * pre-shared keys are wiped before it returns; envelope keys stay, in locked
 * memory. The caller frees with config_free. */
struct config *config_load(const char *path, struct error *why);

/* Reads everything again, as config_load, while the configuration `in_use` is in use. Users and
 * ControlGroup must be as in that one, as they are not looked up again. Nor is a back end chosen
 * again if Backend is as before. */
struct config *config_load_again(const char *path, const struct config *in_use, struct error *why);

/* Reads portsmith.conf alone: no profiles, no key, no look-up of the users. The
 * caller owns *c, which holds defaults where it fails. */
bool config_read_main(struct config *c, const char *path, struct error *why);

/* Writes the command that makes this configuration file, and what it needs. Returns `command`. */
const char *config_init_command(const char *path, char command[static CONFIG_INIT_SIZE]);

/* Whether a window is no longer than the longest, both in seconds. False with the reason, which
 * names the file `path`. */
bool config_windows_agree(const char *path, uint32_t window, uint32_t max_window,
                          struct error *why);

/* Stores the name of a group. False with what was expected. */
bool config_group_parse(char group[static POLICY_NAME_SIZE], const char *text, struct error *why);

/* Sets one key of portsmith.conf, as a line of the file would. False with the reason, such as that
 * the key is unknown. */
bool config_set(struct config *c, const char *key, const char *value, struct error *why);

/* Write the path of a profile's file, and of the server's secret key. Return `path`. */
const char *config_profile_path(const struct config *c, const char *name,
                                char path[static CONFIG_PROFILE_PATH_SIZE]);
const char *config_key_path(const struct config *c, char path[static CONFIG_PROFILE_PATH_SIZE]);

/* Write the path of the roster that is to be used, of the copy of the one that was used last, and
 * of the fleet's secret. Return `path`. */
const char *config_roster_path(const struct config *c, char path[static CONFIG_PROFILE_PATH_SIZE]);
const char *config_kept_roster_path(const struct config *c,
                                    char path[static CONFIG_PROFILE_PATH_SIZE]);
const char *config_fleet_secret_path(const struct config *c,
                                     char path[static CONFIG_PROFILE_PATH_SIZE]);

/* Whether Shut names a service of TCP. */
bool config_shuts_tcp(const struct config *c);

/* Returns that member as Peers has it, where upper and lower case may differ, or NULL. */
const char *config_find_peer(const struct config *c, const char *member);

/* Whether SharedAddress says that the address stands for all members. */
bool config_shares(const struct config *c, const struct address *address);

/* Returns the profile of that name, or NULL. */
const struct profile *config_find_profile(const struct config *c, const char *name);

/* Locks the profiles in memory again: a fork does not hand locks down. */
void config_lock(struct config *c);

/* Takes the profiles out of *c whose files are gone, or that the roster which is asked for now
 * revokes. Returns how many there were. */
size_t config_forget_removed_profiles(struct config *c);

/* Wipes and frees a configuration. NULL is allowed. */
void config_free(struct config *c);

/* Prints the effective configuration, defaults included, as a configuration file would say it, and
 * then each profile. No secret is printed. */
void config_print(const struct config *c, FILE *out);

/* Prints one profile, with its path and key id in a comment. */
void config_print_profile(const struct config *c, const struct profile *p, FILE *out);

#endif
