/* What portsmith-firewall keeps: the confirmed settings and those on trial, parted by a
 * line of "%%". What is read is written and read again as the same, and makes rules. */
#include "fuzz.h"

#include "daemon/portsmith-firewall/saved.h"

static const struct config config = {.state_directory = "/run/state", .run_directory = "/run/run"};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    struct error why;

    (void)count, (void)arguments;
    fuzz_enter();
    REQUIRE(mkdir(config.state_directory, 0700) == 0);
    REQUIRE(saved_lock(&config, &why) >= 0); /* makes the run directory */
    return 0;
}

static bool are_equal(const struct ruleset *a, const struct ruleset *b)
{
    bool equal = a->count == b->count;

    for (unsigned i = 0; equal && i < a->count; i++)
        equal = service_compare(&a->allow[i], &b->allow[i]) == 0;
    return equal;
}

/* Every line has what iptables-restore can read: a table, chains, rules, the end. */
static void check_rules(const struct plan *plan, enum family family)
{
    static const char before_date[] = "--datestop ";
    char *text = NULL, *date;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    REQUIRE(out);
    ruleset_write(out, plan, family, plan->on_trial, plan->is_confirmed);
    ruleset_write_checks(out, plan);
    REQUIRE(fclose(out) == 0);
    REQUIRE(strncmp(text, "*filter\n:", 9) == 0);
    REQUIRE(size > 7 && strcmp(text + size - 7, "COMMIT\n") == 0);
    date = strstr(text, before_date);
    REQUIRE(!date == !plan->on_trial);
    if (date)
        REQUIRE(strspn(date + sizeof before_date - 1, "0123456789-T:") ==
                sizeof "2038-01-19T03:14:07" - 1);
    free(text);
}

static void check_plan(const struct plan *plan)
{
    struct plan again;
    struct error why;

    for (unsigned i = 1; i < plan->trial.count; i++)
        REQUIRE(service_compare(&plan->trial.allow[i - 1], &plan->trial.allow[i]) < 0);
    for (unsigned i = 0; i < plan->trial.count; i++)
        REQUIRE(ruleset_names(plan->trial.allow, plan->trial.count, &plan->trial.allow[i]));
    REQUIRE(saved_write(plan, &config, &why) && saved_read(&again, &config, &why));
    REQUIRE(again.is_confirmed == plan->is_confirmed && again.on_trial == plan->on_trial);
    REQUIRE(again.until == plan->until);
    REQUIRE(are_equal(&again.confirmed, &plan->confirmed) && are_equal(&again.trial, &plan->trial));
    check_rules(plan, 0);
    check_rules(plan, 1);
}

/* A part without a byte is no file. */
static void put(const char *path, struct input part)
{
    unlink(path);
    if (part.size > 0)
        fuzz_write_part(path, part);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input in = {bytes, size};
    struct error why = {""};
    struct plan plan;

    put("/run/state/firewall", input_part(&in));
    put("/run/run/firewall", input_part(&in));
    if (saved_read(&plan, &config, &why))
        check_plan(&plan);
    else
        REQUIRE(strncmp(why.text, "/run/", 5) == 0 && strchr(why.text, ':'));
    return 0;
}
