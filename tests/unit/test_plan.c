/* privsep/plan, as privsep/prepare/compile writes it, and as the helper maps it. */
#include "check.h"

#include <netinet/in.h>
#include <sys/mman.h>

#include "people.h"
#include "privsep/helper/marks.h"
#include "privsep/helper/policy.h"
#include "privsep/plan.h"
#include "privsep/prepare/compile.h"
#include "privsep/prepare/repair.h"
#include "privsep/prepare/rules.h"

enum { CLIENTS = 300, FILTER_CALLS = 50 };

static struct helper_profile profiles[CLIENTS];
static struct policy policy;
static struct marks marks;
static struct rules rules[FAMILIES];
static struct xtables found = {.backend = BACKEND_LEGACY, .in_use = {true, false},
                               .paths = {"/sbin/iptables-legacy-restore"}, .has_nat = {true}};
static int directory, plan_fd;

static void make_profile(size_t i)
{
    struct helper_profile *p = &profiles[i];

    p->window = (uint32_t)i;
    p->service_count = 1;
    p->services[0] = (struct service){.protocol = IPPROTO_TCP, .port = (uint16_t)(i + 1)};
    if (i % 3 == 0) {
        p->prefix_count = 1;
        p->prefixes[0].length = 1;
    }
    policy.entries[i].key_id[0] = (uint8_t)(i >> 8);
    policy.entries[i].key_id[1] = (uint8_t)i;
    policy.entries[i].profile = p;
}

static void set_clients(size_t count)
{
    struct error why;

    policy.setup.profile_count = (uint32_t)count;
    assert_done(helper_marks_open(&marks, directory, policy.entries[0].key_id,
                                  sizeof *policy.entries, count, clock_wall_us(), 0, &why), why);
}

static int enter(void **state)
{
    if (scratch_enter(state) != 0)
        return -1;
    directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    plan_fd = memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    policy = (struct policy){.setup = {.shut_count = 1, .shut = {{.protocol = 6, .port = 22}},
                                       .max_grants = 7},
                             .entries = calloc(CLIENTS, sizeof *policy.entries)};
    memset(profiles, 0, sizeof profiles);
    for (size_t i = 0; i < CLIENTS; i++)
        make_profile(i);
    for (enum family family = IPV4; family < FAMILIES; family++)
        rules_make(&rules[family], family, &policy.setup, NULL, 0, true);
    marks.fd = -1;
    return directory < 0 || plan_fd < 0;
}

static int leave(void **state)
{
    helper_marks_close(&marks);
    for (enum family family = IPV4; family < FAMILIES; family++)
        rules_free(&rules[family]);
    free(policy.entries);
    close(plan_fd);
    close(directory);
    return scratch_leave(state);
}

static void unmap(const struct plan *plan)
{
    munmap((void *)(uintptr_t)plan, plan->size);
}

static const struct plan *compile(void)
{
    const struct ingredients ingredients = {.policy = &policy, .xtables = &found, .rules = rules};
    struct compiling compiling;
    const struct plan *plan;
    struct error why;

    plan = plan_begin(&compiling, plan_fd, &ingredients, &why);
    assert_done(plan, why);
    unmap(plan);
    assert_done(plan_end(&compiling, &policy, &marks, &why), why);
    plan = plan_map(plan_fd, &why);
    assert_done(plan, why);
    return plan;
}

static const struct helper_profile *profile_in(const struct plan *plan, const uint8_t *key_id)
{
    size_t count;
    const struct plan_profile *all = plan_part(plan, &plan->profiles, sizeof *all, &count);

    for (size_t i = 0; i < count; i++)
        if (memcmp(all[i].key_id, key_id, KEY_ID_SIZE) == 0)
            return plan_part(plan, &all[i].profile, 1, NULL);
    return NULL;
}

static void holds_every_profile_and_no_other(void **state)
{
    const uint8_t nobody[KEY_ID_SIZE] = {0xff};
    const struct plan *plan;

    (void)state;
    set_clients(CLIENTS);
    plan = compile();
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct helper_profile *p = profile_in(plan, policy.entries[i].key_id);

        assert_non_null(p);
        assert_memory_equal(p, &profiles[i], helper_profile_size(&profiles[i]));
    }
    assert_null(profile_in(plan, nobody));
    assert_false(plan->counts);
    unmap(plan);
}

static void says_whether_some_profile_counts(void **state)
{
    const struct plan *plan;

    (void)state;
    set_clients(CLIENTS);
    profiles[CLIENTS / 2].connections = 1;
    plan = compile();
    assert_true(plan->counts);
    unmap(plan);
}

static void is_the_policy_that_was_received(void **state)
{
    const struct plan *plan;
    size_t at = CLIENTS;

    (void)state;
    set_clients(CLIENTS);
    plan = compile();
    assert_int_equal(plan->max_grants, 7);
    assert_int_equal(plan->backend, BACKEND_LEGACY); /* as probed */
    for (size_t i = 0; i < CLIENTS; i++) {
        const struct helper_profile *p =
            helper_policy_find(plan, policy.entries[i].key_id, &at);

        assert_non_null(p);
        assert_int_equal(at, i);
        assert_memory_equal(p, &profiles[i], helper_profile_size(&profiles[i]));
    }
    assert_null(helper_policy_find(plan, (uint8_t[KEY_ID_SIZE]){0xff}, &at));
    unmap(plan);
}

static void check_text(const struct plan *plan, const struct part *part, const char *expected)
{
    assert_string_equal((const char *)plan_part(plan, part, 1, NULL), expected);
}

static void holds_what_the_firewall_is_written_from(void **state)
{
    const struct sock_filter *filter;
    const struct plan *plan;
    size_t count;

    (void)state;
    set_clients(1);
    plan = compile();
    assert_true(plan->families[IPV4].in_use && !plan->families[IPV6].in_use);
    check_text(plan, &plan->families[IPV4].path, found.paths[IPV4]);
    for (enum family family = IPV4; family < FAMILIES; family++) {
        const struct plan_family *of = &plan->families[family];

        for (size_t i = 0; i < RULES_TEXTS; i++)
            check_text(plan, &of->texts[i], rules[family].texts[i]);
    }
    filter = plan_part(plan, &plan->filter, 8, &count);
    assert_non_null(filter);
    assert_in_range(count, FILTER_CALLS, UINT16_MAX);
    assert_int_equal(plan->filter.size % 8, 0);
    unmap(plan);
}

/* Spends a counter, and stores it in the file that HELPER_FD_MARKS would be. */
static void spend(struct marks *mine, const uint8_t *key_id, uint64_t counter)
{
    struct error why;

    mine->fd = marks.fd;
    helper_marks_spend(mine, helper_marks_find(mine, key_id), counter);
    assert_done(helper_marks_commit(mine, &why), why);
}

static void marks_are_the_helpers_own_and_go_on_in_the_file(void **state)
{
    const uint8_t *who = policy.entries[CLIENTS - 1].key_id;
    const uint64_t counter = clock_wall_us() + 1000000;
    const struct plan *plan;
    struct marks mine, others;
    struct error why;

    (void)state;
    set_clients(CLIENTS);
    plan = compile();
    assert_done(helper_marks_map(&mine, plan_fd, plan, &why), why);
    assert_int_equal(mine.count, CLIENTS);
    for (size_t i = 0; i < CLIENTS; i++)
        assert_memory_equal(helper_marks_find(&mine, policy.entries[i].key_id),
                            helper_marks_find(&marks, policy.entries[i].key_id),
                            sizeof(struct mark));
    spend(&mine, who, counter);
    assert_true(helper_mark_is_spent(helper_marks_find(&mine, who), counter));
    assert_done(helper_marks_map(&others, plan_fd, plan, &why), why); /* as it was sealed */
    assert_false(helper_mark_is_spent(helper_marks_find(&others, who), counter));
    helper_marks_close(&marks);
    set_clients(CLIENTS);
    assert_true(helper_mark_is_spent(helper_marks_find(&marks, who), counter));
    free(mine.unwritten);
    free(others.unwritten);
    unmap(plan);
}

static void may_be_without_a_profile(void **state)
{
    const uint8_t nobody[KEY_ID_SIZE] = {1};
    const struct plan *plan;
    struct marks mine;
    struct error why;

    (void)state;
    set_clients(0);
    plan = compile();
    assert_null(profile_in(plan, nobody));
    assert_done(helper_marks_map(&mine, plan_fd, plan, &why), why);
    assert_int_equal(mine.count, 0);
    free(mine.unwritten);
    unmap(plan);
}

static void nobody_can_change_it(void **state)
{
    const struct plan *plan;

    (void)state;
    set_clients(1);
    plan = compile();
    assert_int_equal(pwrite(plan_fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(plan_fd, 0), -1);
    assert_int_equal(ftruncate(plan_fd, plan->size + 1), -1);
    assert_ptr_equal(mmap(NULL, plan->size, PROT_READ | PROT_WRITE, MAP_SHARED, plan_fd, 0),
                     MAP_FAILED);
    unmap(plan);
}

/* A copy of a plan that was changed before it was sealed, or was not sealed. */
static bool maps(const void *bytes, size_t size, int seals, struct error *why)
{
    int fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const struct plan *plan;

    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    plan = plan_map(fd, why);
    if (plan)
        munmap((void *)(uintptr_t)plan, size);
    close(fd);
    return plan != NULL;
}

static void only_a_sealed_one_of_this_build_is_mapped(void **state)
{
    const int all = PLAN_SEALS;
    const struct plan *plan;
    struct plan *copy;
    struct error why;

    (void)state;
    set_clients(1);
    plan = compile();
    copy = malloc(plan->size);
    assert_non_null(copy);
    memcpy(copy, plan, plan->size);
    assert_true(maps(copy, plan->size, all, &why));
    assert_false(maps(copy, plan->size, all & ~F_SEAL_WRITE, &why));
    assert_non_null(strstr(why.text, "not sealed"));
    assert_false(maps(copy, plan->size, all & ~F_SEAL_SHRINK, &why));
    assert_false(maps(copy, plan->size, all & ~F_SEAL_GROW, &why));
    assert_false(maps(copy, plan->size, all & ~F_SEAL_SEAL, &why));
    assert_false(maps(copy, plan->size - 1, all, &why));
    assert_non_null(strstr(why.text, "not made by this build"));
    assert_false(maps(copy, sizeof copy->magic, all, &why));
    copy->magic[0] ^= 1;
    assert_false(maps(copy, plan->size, all, &why));
    free(copy);
    unmap(plan);
}

static void no_room_is_no_plan(void **state)
{
    const struct ingredients ingredients = {.policy = &policy, .xtables = &found, .rules = rules};
    struct compiling compiling;
    int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    struct error why;

    (void)state;
    set_clients(1);
    assert_null(plan_begin(&compiling, full, &ingredients, &why));
    assert_non_null(strstr(why.text, "cannot make the plan: "));
    close(full);
}

/* ---- the order of tables -------------------------------------------------- */

static void check_order(enum rules_text what, bool with_reset, const char *const tables[3])
{
    struct helper_setup setup = policy.setup;
    struct rules made;
    const char *at;

    setup.shut_with_reset = with_reset;
    setup.sends_on = 1;
    rules_make(&made, IPV4, &setup, NULL, 0, true);
    at = made.texts[what];
    for (int i = 0; i < 3; i++) {
        at = strstr(at, tables[i]);
        assert_non_null(at);
    }
    rules_free(&made);
}

/* For the kernel each table changes by itself. */
static void tables_change_in_an_order_that_lets_nobody_else_through(void **state)
{
    (void)state;
    check_order(RULES_REFRESH, false, (const char *const[]){"*mangle\n", "*filter\n", "*nat\n"});
    check_order(RULES_REFRESH, true, (const char *const[]){"*filter\n", "*mangle\n", "*nat\n"});
}

static void a_new_grant_is_let_through_once_all_of_it_is_there(void **state)
{
    (void)state;
    check_order(RULES_INSERT, false, (const char *const[]){"*nat\n", "*filter\n", "*mangle\n"});
    check_order(RULES_INSERT, true, (const char *const[]){"*nat\n", "*filter\n", "*mangle\n"});
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(holds_every_profile_and_no_other),
        IN_PLACE(says_whether_some_profile_counts),
        IN_PLACE(is_the_policy_that_was_received),
        IN_PLACE(holds_what_the_firewall_is_written_from),
        IN_PLACE(marks_are_the_helpers_own_and_go_on_in_the_file),
        IN_PLACE(may_be_without_a_profile),
        IN_PLACE(nobody_can_change_it),
        IN_PLACE(only_a_sealed_one_of_this_build_is_mapped),
        IN_PLACE(no_room_is_no_plan),
        IN_PLACE(tables_change_in_an_order_that_lets_nobody_else_through),
        IN_PLACE(a_new_grant_is_let_through_once_all_of_it_is_there),
    };

    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
