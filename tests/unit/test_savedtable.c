#include "netspace.h"

#include "daemon/host/savedtable.h"

enum { REPORTS_MAX = 10 };

static struct {
    char what[REPORTS_MAX][600];
    size_t count;
} told;

static void take(void *data, const char *what, const char *advice)
{
    assert_ptr_equal(data, &told);
    assert_non_null(strstr(advice, "grep -v -x 'table inet portsmith'"));
    assert_true(told.count < REPORTS_MAX);
    snprintf(told.what[told.count++], sizeof *told.what, "%s", what);
}

static size_t find(void)
{
    told.count = 0;
    savedtable_find(take, &told);
    return told.count;
}

/* An /etc of the test's own. */
static int enter(void **state)
{
    return netspace_enter(state) == 0 && mount("tmpfs", "/etc", "tmpfs", 0, "mode=755") == 0 ? 0 : -1;
}

static void write_etc(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void no_file_holds_nothing(void **state)
{
    (void)state;
    assert_int_equal(find(), 0);
}

static const struct {
    const char *text;
    bool holds;
} texts[] = {
    {"table inet portsmith {\n", true},
    {"table inet portsmith { # progname portsmithd\n", true},
    {"\tadd  table  inet  portsmith;\n", true},
    {"table inet portsmith", true},
    {"flush ruleset\n\ntable inet filter {\n}\ntable inet portsmith\t{\n", true},
    {"table inet portsmith-firewall {\n", false},
    {"table ip portsmith {\n", false},
    {"# table inet portsmith {\n", false},
    {"table inet filter { comment \"table inet portsmith {\"\n", false},
    {"delete table inet portsmith\n", false},
    {"tableinet portsmith {\n", false},
    {"", false},
};

static void the_table_is_told_from_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        write_etc("/etc/nftables.conf", texts[i].text);
        if ((find() == 1) != texts[i].holds)
            fail_msg("'%s': %zu", texts[i].text, told.count);
    }
}

static void includes_are_followed(void **state)
{
    (void)state;
    run_command("mkdir -p /etc/nftables.d /etc/sysconfig");
    write_etc("/etc/nftables.d/own.nft", "table inet portsmith {\n}\n");
    write_etc("/etc/nftables.d/other.nft", "table inet filter {\n}\n");
    write_etc("/etc/nftables.conf", "include \"/etc/nftables.d/*.nft\"\n");
    assert_int_equal(find(), 1);
    assert_non_null(strstr(told.what[0], "/etc/nftables.d/own.nft holds Portsmith's table"));
    write_etc("/etc/nftables.conf", "\tinclude 'nftables.d/own.nft'\n");
    assert_int_equal(find(), 1);
    write_etc("/etc/nftables.conf", "# include \"/etc/nftables.d/own.nft\"\ninclude nothing\n");
    assert_int_equal(find(), 0);
    write_etc("/etc/sysconfig/nftables.conf", "include \"/etc/nftables.d/own.nft\"\n");
    assert_int_equal(find(), 1);
}

/* As each of two files includes both. */
static void a_circle_ends(void **state)
{
    (void)state;
    write_etc("/etc/nftables.conf", "include \"/etc/nftables.*\"\n");
    write_etc("/etc/nftables.nft", "include \"/etc/nftables.*\"\n");
    assert_int_equal(find(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_file_holds_nothing),
        cmocka_unit_test(the_table_is_told_from_others),
        cmocka_unit_test(includes_are_followed),
        cmocka_unit_test(a_circle_ends),
    };

    return cmocka_run_group_tests_name("savedtable", tests, enter, scratch_leave);
}
