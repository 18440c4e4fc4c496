#include "daemon/doctor/doctorgroup.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "daemon/ask/report.h"

#define PROBLEM FINDING_PROBLEM
#define NOTE FINDING_NOTE

enum { CLOCK_TOLERANCE = 5 /* seconds, which reaching the other host may take */ };

/* What a member says of itself. The texts are the JSON's. */
struct member {
    const char *group, *member, *public_key, *profiles;
    json_int_t time;
    bool in_force;
};

/* Everything that is compared with one member after another. */
struct comparison {
    struct findings *found;
    const struct config *config;
    struct member own; /* this host */
};

static json_t *read_status(const char *file, json_error_t *error)
{
    return strcmp(file, "-") == 0 ? json_loadf(stdin, JSON_DISABLE_EOF_CHECK, error)
                                  : json_load_file(file, 0, error);
}

/* Takes what is compared out of a status; false: it is none, or of a host of no group. */
static bool unpack(struct member *member, json_t *root, json_error_t *error)
{
    json_t *in_force;
    bool unpacked =
        json_unpack_ex(root, error, 0, "{s:{s:s, s:s, s:s, s:s}, s:I, s:o}", "group", "name",
                       &member->group, "member", &member->member, "public_key",
                       &member->public_key, "profiles", &member->profiles, "time", &member->time,
                       "in_force", &in_force) == 0;

    if (json_is_null(json_object_get(root, "group")))
        snprintf(error->text, sizeof error->text, "it is of a host of no group");
    member->in_force = unpacked && json_is_true(in_force);
    return unpacked;
}

/* The key comes first: without it the profiles' fingerprint differs in any case. */
static void compare_shared(const struct comparison *c, const struct member *other)
{
    if (strcmp(other->public_key, c->own.public_key) != 0)
        findings_add(c->found, PROBLEM, "bring the group's key there: see Groups in "
                     "portsmith-profile(8)", "%s has another server key", other->member);
    else if (strcmp(other->profiles, c->own.profiles) != 0)
        findings_add(c->found, PROBLEM, "copy the profiles to it, such as with rsync and "
                     "--exclude=server.*, then run portsmithctl reload there; if they are the "
                     "same, compare Window, MaxWindow and Port in portsmith.conf",
                     "%s has other profiles in force", other->member);
}

/* A status is a little older than now: what is far off is old, or of another clock. */
static void compare_clock(const struct comparison *c, const struct member *other)
{
    /* The other host may say anything; no difference from a time after 1970 is too large. */
    const int64_t behind = (int64_t)time(NULL) - (other->time > 0 ? other->time : 0);

    if (behind >= -CLOCK_TOLERANCE && behind <= CLOCK_TOLERANCE)
        return;
    findings_add(c->found, NOTE, "set both clocks by NTP; if the status may be old, take it anew: "
                 "ssh HOST portsmithctl --json status | portsmithctl doctor -",
                 "the clock of %s is %" PRId64 " s %s this one%s", other->member,
                 behind < 0 ? -behind : behind, behind < 0 ? "ahead of" : "behind",
                 behind < 0 ? "" : ", or its status is that old");
}

static void compare(const struct comparison *c, const struct member *other)
{
    if (strcmp(other->group, c->own.group) != 0) {
        findings_add(c->found, PROBLEM, "compare Group in portsmith.conf on both hosts",
                     "%s is of the group %s, and this host of %s", other->member, other->group,
                     c->own.group);
        return;
    }
    if (strcasecmp(other->member, c->own.member) == 0)
        findings_add(c->found, PROBLEM, "give each host a Member of its own in portsmith.conf; if "
                     "the status is this host's, take another's",
                     "another host has Member = %s as well: a knock that names it counts at both",
                     other->member);
    else if (!config_find_peer(c->config, other->member))
        findings_add(c->found, NOTE, "add it to Peers in portsmith.conf",
                     "Peers does not have %s, so new clients are not told of it", other->member);
    compare_shared(c, other);
    compare_clock(c, other);
    if (!other->in_force)
        findings_add(c->found, PROBLEM, "run portsmithctl doctor there",
                     "the rules of %s are not in force, or that is not known", other->member);
}

static void compare_file(const struct comparison *c, const char *file)
{
    json_error_t error;
    json_t *root = read_status(file, &error);
    struct member other;

    if (root && unpack(&other, root, &error))
        compare(c, &other);
    else
        findings_add(c->found, PROBLEM, "take it on a member of the group: portsmithctl --json "
                     "status", "%s is no status of a member: %s", file, error.text);
    json_decref(root);
}

void doctorgroup_examine(struct findings *found, const struct config *config,
                         const struct control_status *status, char *const *files, size_t count)
{
    struct comparison c = {.found = found, .config = config};
    json_t *own = status ? report_status_json(status) : NULL;
    json_error_t unused;
    bool is_member = own && unpack(&c.own, own, &unused);

    findings_begin(found, "group");
    if (!status)
        findings_add(found, PROBLEM, "have portsmithd run here, then compare again",
                     "portsmithd does not tell this host's status, so it is compared with none");
    else if (!is_member)
        findings_add(found, PROBLEM, "set Group and Member in portsmith.conf, and reload",
                     "this host is of no group, so it is compared with none");
    else if (count == 0)
        findings_add(found, NOTE, "for each: ssh HOST portsmithctl --json status > HOST.json; then "
                     "portsmithctl doctor HOST.json ...",
                     "whether other members of the group %s have the same key and profiles is not "
                     "known here", c.own.group);
    for (size_t i = 0; is_member && i < count; i++)
        compare_file(&c, files[i]);
    json_decref(own);
}
