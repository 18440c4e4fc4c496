/* portsmithctl(8): asks a running portsmithd. */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/privilege/capability.h"
#include "common/text/command.h"
#include "daemon/ask/ask.h"
#include "daemon/ask/report.h"
#include "daemon/config/pidfile.h"
#include "daemon/config/trial.h"
#include "daemon/doctor/doctor.h"
#include "daemon/host/drops.h"
#include "daemon/portsmith-firewall/closing.h"
#include "daemon/portsmith-firewall/enforce.h"
#include "daemon/portsmithctl/rules.h"
#include "daemon/portsmithctl/watch.h"
#include "daemon/supervisor/pair.h"

static const char usage[] =
    "usage: portsmithctl [-c file] [--json] status | list | watch\n"
    "       portsmithctl [-c file] [--json] doctor [status ...]\n"
    "       portsmithctl [-c file] [--json] close [--kill] id | profile | --all\n"
    "       portsmithctl [-c file] [--json] group rules\n"
    "       portsmithctl [-c file] [--json] reload | release\n"
    "\n"
    "  status              what runs, what is shut, and the counters\n"
    "  list                the live grants\n"
    "  watch               what opens and ends, as it happens; Ctrl-C ends it\n"
    "  doctor              why a knock may not open, and what to do about it; each status\n"
    "                      is a file (-: standard input) that --json status printed on another\n"
    "                      member of the host's group\n"
    "  close               end the grant of that id, a profile's, or all\n"
    "  group rules         print a script for sh that has the firewall copy knocks at a\n"
    "                      SharedAddress to the other members of the host's group\n"
    "  reload              read the configuration again, and say whether it is in force\n"
    "  release             stop portsmithd and open all shut ports; refused while\n"
    "                      portsmith-firewall shuts one of them to everybody\n"
    "\n"
    "  -c, --config FILE   of the portsmithd that reads FILE instead of /etc/portsmith.conf\n"
    "      --json          print JSON\n"
    "      --all           close: every grant\n"
    "      --kill          close: end the connections made through them, too\n"
    "  -h, --help          show this and exit\n"
    "  -V, --version       show the version and exit\n"
    "\n"
    "For example: portsmithctl close --kill laptop\n"
    "The manual is portsmithctl(8).\n";

struct options {
    const char *config_path;
    bool json, all, kill;
    char **arguments; /* after the verb */
    int count;
};

struct verb {
    const char *name;
    int (*run)(const struct options *options, const struct config *config);
    enum { NOTHING, GRANTS, WORDS } takes; /* GRANTS: --all, --kill and an argument */
    /* USEFUL: the verb goes on where the configuration is broken. NOT_READ: it reads that itself */
    enum { WANTED, USEFUL, NOT_READ } configuration;
};

/* ---- telling ------------------------------------------------------------- */

/* Says why portsmithd was not asked or refused, and returns an exit status. */
static int fail(enum ask_result result, const struct error *why)
{
    return command_fail(result == ASK_NOT_RUNNING ? EXIT_NOT_RUNNING : EXIT_FAILURE, why->text);
}

static void add_drop(void *drops, const char *what, const char *advice)
{
    json_array_append_new(drops, json_pack("{s:s, s:s}", "what", what, "advice", advice));
}

/* What other firewalls drop of what Shut names, though a knock opens it: NULL where that is not
 * known, as only root may look, or where Portsmith's own rules accept. */
static json_t *find_drops(const struct control_status *status, const struct config *config)
{
    struct config used = *config;
    json_t *drops;

    used.backend_in_use = status->backend;
    if (status->backend != BACKEND_NFTABLES || geteuid() != 0)
        return NULL;
    drops = json_array();
    if (drops_find(&used, add_drop, drops))
        return drops;
    json_decref(drops);
    return NULL;
}

/* ---- the verbs ----------------------------------------------------------- */

/* The rest is what portsmith-firewall shuts, if anything. Only root may look at it. */
static int show_status(const struct options *options, const struct config *config)
{
    static const struct control_request request = {.verb = CONTROL_STATUS};
    static const char missing[] = "NOT IN FORCE: another program removed its rules, or the boot "
                                  "did not put them in force; portsmith-firewall enforce does";
    struct control_reply reply;
    struct error why;
    json_t *json, *drops;
    char keep[TRIAL_KEEP_SIZE];
    enum ask_result result = ask(config, &request, &reply, &why);
    enum enforce_state rest = geteuid() == 0 ? enforce_look(config) : ENFORCE_UNKNOWN;
    bool in_force = rest == ENFORCE_IN_FORCE, is_known = in_force || rest == ENFORCE_MISSING;

    if (result != ASK_DONE)
        return fail(result, &why);
    drops = find_drops(&reply.status, config);
    if (options->json) {
        json = report_status_json(&reply.status);
        json_object_set_new(json, "dropped_elsewhere", drops ? drops : json_null());
        json_object_set_new(json, "rest_in_force",
                            is_known ? json_boolean(in_force) : json_null());
        return report_print_whole(json);
    }
    report_status(&reply.status, !is_known ? NULL : in_force ? "in force" : missing, drops,
                  trial_keep(options->config_path, keep));
    json_decref(drops);
    return command_finish(EXIT_SUCCESS);
}

static int show_list(const struct options *options, const struct config *config)
{
    struct control_grant *grants;
    size_t count;
    struct error why;
    enum ask_result result = ask_grants(config, &grants, &count, &why);
    int status;

    if (result != ASK_DONE)
        status = fail(result, &why);
    else if (options->json)
        status = report_print_whole(report_grants_json(grants, count));
    else {
        report_grants(grants, count);
        status = command_finish(EXIT_SUCCESS);
    }
    free(grants);
    return status;
}

static int show_watch(const struct options *options, const struct config *config)
{
    struct error why;

    return watch_run(config, options->json, &why) ? EXIT_SUCCESS : fail(ASK_FAILED, &why);
}

/* Takes the argument: a number is a grant's id, anything else a profile's name. False if there is
 * none, or it is neither. */
static bool choose_grants(struct control_request *request, const struct options *options)
{
    const char *word = options->count == 1 ? options->arguments[0] : "";
    char *end;
    unsigned long id;

    if (options->all || options->count != 1) {
        request->scope = HELPER_SCOPE_ALL;
        return options->all && options->count == 0;
    }
    if (word[strspn(word, "0123456789")] != '\0') {
        request->scope = HELPER_SCOPE_PROFILE;
        snprintf(request->profile, sizeof request->profile, "%.35s", word);
        return profile_name_is_valid(word);
    }
    id = strtoul(word, &end, 10);
    request->scope = HELPER_SCOPE_ID;
    request->id = (uint32_t)id;
    return id > 0 && id <= UINT32_MAX;
}

static int close_grants(const struct options *options, const struct config *config)
{
    struct control_request request = {.verb = CONTROL_CLOSE, .kill = options->kill};
    struct control_reply reply;
    struct error why;
    enum ask_result result;

    if (!choose_grants(&request, options))
        return command_misused("close wants the id of a grant, the name of a profile, or --all");
    result = ask(config, &request, &reply, &why);
    if (result != ASK_DONE)
        return fail(result, &why);
    if (options->json)
        return report_print_whole(report_closed_json(&reply));
    report_closed(&reply, options->kill);
    return command_finish(EXIT_SUCCESS);
}

/* Says that something was done: by `key` in JSON, else by `text`. Returns an exit status. */
static int say_done(const struct options *options, const char *key, const char *text)
{
    if (options->json)
        return report_print_whole(json_pack("{s:b}", key, 1));
    puts(text);
    return command_finish(EXIT_SUCCESS);
}

static int reload(const struct options *options, const struct config *config)
{
    static const struct control_request request = {.verb = CONTROL_RELOAD};
    struct control_reply reply;
    struct error why;
    enum ask_result result = ask(config, &request, &reply, &why);

    if (result != ASK_DONE)
        return fail(result, &why);
    return say_done(options, "reloaded", "the new configuration is in force");
}

/* Removes the rules as portsmithd --release does, where no portsmithd runs. */
static bool release_without_daemon(const struct config *config, struct error *why)
{
    const struct pair_options options = {.foreground = true};

    if (!capability_check(CAPABILITY_DAEMON, why))
        return false;
    if (pidfile_owner(config->run_directory) != 0)
        return error_set(why, "portsmithd runs, but has no socket for portsmithctl: stop it "
                              "first");
    return pair_release(BACKEND_AUTO, &options) || error_set(why, "rules may remain");
}

static int release(const struct options *options, const struct config *config)
{
    static const struct control_request request = {.verb = CONTROL_RELEASE};
    struct control_reply reply;
    struct error why, note = {""};
    char text[CLOSING_TEXT_SIZE];
    enum ask_result result;
    pid_t unused;
    int status;

    /* Only root can know this, and portsmithd refuses all others. */
    if (geteuid() == 0 && !closing_permits_release(config, &note))
        return fail(ASK_FAILED, &note);
    result = ask(config, &request, &reply, &why);
    if (result == ASK_NOT_RUNNING && release_without_daemon(config, &why))
        result = ASK_DONE;
    if (result != ASK_DONE)
        return fail(ASK_FAILED, &why);
    if (note.text[0] != '\0')
        command_warn("%s", note.text);
    status = say_done(options, "released", "portsmithd does not run, and shuts no port any more");
    /* After a trial that was not kept no start shuts anything. */
    if (!options->json && config->shut_count > 0 &&
        trial_find_marker(config, &unused) == TRIAL_NONE)
        printf("its next start, which may be the next boot, shuts again: %s\n",
               closing_format_configured(config, text));
    return command_finish(status);
}

static int see_doctor(const struct options *options, const struct config *unread)
{
    (void)unread;
    return doctor_run(options->config_path, options->json, options->arguments,
                      (size_t)options->count);
}

static int show_group(const struct options *options, const struct config *unread)
{
    (void)unread;
    if (options->count != 1 || strcmp(options->arguments[0], "rules") != 0)
        return command_misused("group wants the word rules");
    return rules_show(options->config_path, options->json);
}

static const struct verb verbs[] = {
    {"status", show_status, NOTHING, WANTED},
    {"list", show_list, NOTHING, WANTED},
    {"watch", show_watch, NOTHING, WANTED},
    {"close", close_grants, GRANTS, WANTED},
    {"reload", reload, NOTHING, USEFUL},
    {"release", release, NOTHING, USEFUL},
    {"doctor", see_doctor, WORDS, NOT_READ},
    {"group", show_group, WORDS, NOT_READ},
};

/* ---- the command line ---------------------------------------------------- */

static bool take_option(void *into, int option)
{
    struct options *options = into;

    switch (option) {
    case 'j':
        options->json = true;
        break;
    case 'a':
        options->all = true;
        break;
    case 'k':
        options->kill = true;
        break;
    default:
        break;
    }
    return true;
}

/* Reads the configuration as the verb wants it, and runs the verb. */
static int run(const struct verb *verb, const struct options *options)
{
    struct config config;
    struct error why;

    if (verb->configuration == NOT_READ)
        return verb->run(options, NULL);
    if (config_read_main(&config, options->config_path, &why))
        return verb->run(options, &config);
    if (verb->configuration == WANTED)
        return command_fail(EX_CONFIG, why.text);
    command_warn("warning: %s", why.text);
    return verb->run(options, &config);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {COMMAND_OPTIONS,
                                          {"json", no_argument, NULL, 'j'},
                                          {"all", no_argument, NULL, 'a'},
                                          {"kill", no_argument, NULL, 'k'},
                                          {0}};
    struct options options = {0};
    struct command_line line = {.usage = usage,
                                .letters = "c:hV",
                                .options = names,
                                .config_file = CONFIG_FILE,
                                .take = take_option,
                                .into = &options};
    const struct verb *verb;
    int status;

    if (!command_read(&line, argc, argv, &status))
        return status;
    verb = command_find(verbs, sizeof verbs / sizeof *verbs, sizeof *verbs, argv[optind]);
    if (!verb)
        return EXIT_USAGE;
    options.config_path = line.config_file;
    options.arguments = argv + optind + 1;
    options.count = argc - optind - 1;
    if (verb->takes != GRANTS && (options.all || options.kill))
        return command_misused("--all and --kill are for close");
    if (verb->takes == NOTHING && options.count > 0)
        return command_misused("unexpected argument '%s'", options.arguments[0]);
    return run(verb, &options);
}
