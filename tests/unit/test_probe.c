/* privsep/probe on hosts with other iptables than this one: /usr/sbin, which
 * /sbin leads to, is a directory of ours that the tests fill. */
#include "check.h"

#include <errno.h>

#include "netspace.h"
#include "privsep/xtables/probe.h"

static struct xtables found;
static struct error why;

/* The real ones stay within reach under /run/real. */
static int enter(void **state)
{
    if (netspace_enter(state) != 0)
        return -1;
    run_command("mkdir /run/real /run/old && mount --bind /usr/sbin /run/real && "
                "cp -a /run/real/xtables-legacy-multi /run/old/iptables-multi");
    return 0;
}

static int hide_programs(void **state)
{
    (void)state;
    found = (struct xtables){0};
    why.text[0] = '\0';
    return mount("tmpfs", "/usr/sbin", "tmpfs", 0, "mode=755");
}

static int show_programs(void **state)
{
    (void)state;
    return umount("/usr/sbin");
}

/* Links to a real program by another name, as packages have them. */
static void install(const char *name, const char *real)
{
    char target[128], path[128];

    snprintf(target, sizeof target, "/run/real/%s", real);
    snprintf(path, sizeof path, "/usr/sbin/%s", name);
    assert_int_equal(symlink(target, path), 0);
}

static void install_nft(void)
{
    install("iptables-nft-restore", "xtables-nft-multi");
    install("ip6tables-nft-restore", "xtables-nft-multi");
}

/* A program in front of the real one: what it does is said in shell. */
static void install_script(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "/usr/sbin/%s", name);
    scratch_write_text(path, 0755, text);
}

static void no_scratch_chain_is_left(void)
{
    run_command("! /run/real/iptables-nft-save 2>/dev/null | grep portsmith-probe");
}

static void a_host_without_iptables_is_told_what_to_install(void **state)
{
    (void)state;
    assert_null(probe_program(BACKEND_NFT, IPV4));
    assert_result(probe_xtables(&found, BACKEND_NFT, PROBE_DEADLINES, &why), PROBE_MISSING, why);
    assert_non_null(strstr(why.text, "iptables-nft is not installed"));
    assert_result(probe_xtables(&found, BACKEND_LEGACY, 0, &why), PROBE_MISSING, why);
    assert_non_null(strstr(why.text, "iptables-legacy is not installed"));
    assert_result(probe_xtables(&found, BACKEND_AUTO, 0, &why), PROBE_MISSING, why);
    assert_string_equal(why.text, "iptables is not installed: install the package iptables");
}

static void one_family_without_a_program_is_named(void **state)
{
    (void)state;
    install("iptables-nft-restore", "xtables-nft-multi");
    assert_result(probe_xtables(&found, BACKEND_NFT, PROBE_DEADLINES, &why), PROBE_MISSING, why);
    assert_non_null(strstr(why.text, "IPv6"));
    no_scratch_chain_is_left();
}

static void choosing_runs_nothing(void **state)
{
    (void)state;
    install_script("iptables-nft-restore", "#!/bin/sh\nexit 2\n");
    assert_false(probe_choose(&found, BACKEND_NFT, &why));
    assert_non_null(strstr(why.text, "IPv6"));
    install_script("ip6tables-nft-restore", "#!/bin/sh\nexit 2\n");
    assert_done(probe_choose(&found, BACKEND_NFT, &why), why);
    assert_true(found.in_use[IPV4] && found.in_use[IPV6]);
    assert_string_equal(strrchr(found.paths[IPV6], '/'), "/ip6tables-nft-restore");
}

static void without_a_plain_name_nft_comes_first(void **state)
{
    (void)state;
    install_nft();
    install("iptables-legacy-restore", "xtables-legacy-multi");
    assert_result(probe_xtables(&found, BACKEND_AUTO, 0, &why), PROBE_USABLE, why);
    assert_int_equal(found.backend, BACKEND_NFT);
    assert_true(found.in_use[IPV4] && found.in_use[IPV6]);
    assert_string_equal(found.paths[IPV4], "/usr/sbin/iptables-nft-restore");
    no_scratch_chain_is_left();
}

static void a_plain_name_is_what_it_leads_to(void **state)
{
    (void)state;
    install("iptables-restore", "xtables-nft-multi");
    assert_string_equal(probe_program(BACKEND_NFT, IPV4), "/usr/sbin/iptables-restore");
    assert_null(probe_program(BACKEND_LEGACY, IPV4));
    /* The old package, of before there was anything else. */
    assert_int_equal(symlink("/run/old/iptables-multi", "/usr/sbin/ip6tables-restore"), 0);
    assert_string_equal(probe_program(BACKEND_LEGACY, IPV6), "/usr/sbin/ip6tables-restore");
    assert_null(probe_program(BACKEND_NFT, IPV6));
}

static void a_name_that_leads_nowhere_is_still_what_it_was(void **state)
{
    (void)state;
    install("iptables-restore", "missing-nft-multi");
    install("iptables-legacy-restore", "xtables-legacy-multi");
    install("ip6tables-legacy-restore", "xtables-legacy-multi");
    assert_result(probe_xtables(&found, BACKEND_AUTO, 0, &why), PROBE_MISSING, why);
    assert_int_equal(found.backend, BACKEND_NFT);
    assert_non_null(strstr(why.text, "iptables-nft is not installed"));
}

static void says(const char *words)
{
    if (!strstr(why.text, words))
        fail_msg("it says: %s", why.text);
}

static void says_nothing_of(const char *words)
{
    if (strstr(why.text, words))
        fail_msg("it says: %s", why.text);
}

/* What is missing is then no match, whichever is tried first. A new user namespace has no rights over
 * the network of the old one. */
static void a_firewall_that_may_not_be_changed_is_told_of(void **state)
{
    static const char expected[] = "this process may not change the tables of iptables-nft (";
    int status;
    pid_t child;

    (void)state;
    install_nft();
    child = fork();
    if (child == 0) {
        bool is_told = unshare(CLONE_NEWUSER) == 0 &&
                       probe_xtables(&found, BACKEND_NFT, 0, &why) == PROBE_UNUSABLE &&
                       strncmp(why.text, expected, strlen(expected)) == 0 &&
                       strstr(why.text, "run it as root, with CAP_NET_ADMIN");
        _exit(is_told ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_kernel_without_tables_is_told_of(void **state)
{
    static const char none[] = "#!/bin/sh\ncat >/dev/null\n"
                               "echo \"unable to initialize table 'mangle'\"; exit 2\n";

    (void)state;
    install_script("iptables-legacy-restore", none);
    install_script("ip6tables-legacy-restore", none);
    assert_result(probe_xtables(&found, BACKEND_LEGACY, PROBE_DEADLINES, &why), PROBE_UNUSABLE,
                  why);
    says("this kernel has no tables of iptables-legacy for IPv4 (");
    says("): load their modules, such as iptable_mangle, or install a kernel that has them");
    says_nothing_of(" match ");
}

/* A family that the kernel's nf_tables does not know. */
static void a_kernel_without_a_family_is_told_of(void **state)
{
    char script[128];

    (void)state;
    snprintf(script, sizeof script,
             "#!/bin/sh\ncat >/dev/null\necho 'line 1: TABLE_ADD failed (%s): table mangle'; exit 4\n",
             strerror(EOPNOTSUPP));
    install("iptables-nft-restore", "xtables-nft-multi");
    install_script("ip6tables-nft-restore", script);
    assert_result(probe_xtables(&found, BACKEND_NFT, 0, &why), PROBE_UNUSABLE, why);
    says("this kernel has no tables of nf_tables for IPv6 (");
    says("): load the module nf_tables, or install a kernel with CONFIG_NF_TABLES_IPV6");
}

static void a_program_that_does_not_work_is_told_of(void **state)
{
    (void)state;
    install_script("iptables-nft-restore", "#!/bin/sh\ncat >/dev/null\necho broken; exit 1\n");
    install_script("ip6tables-nft-restore", "#!/bin/sh\ncat >/dev/null\n");
    assert_result(probe_xtables(&found, BACKEND_NFT, 0, &why), PROBE_UNUSABLE, why);
    says("iptables-nft cannot even make an empty chain for IPv4 (");
    says("broken): fix what it says there");
}

/* The rest has room then. */
static void of_what_a_program_says_the_first_line_counts(void **state)
{
    (void)state;
    install_script("iptables-nft-restore",
                   "#!/bin/sh\ncase $(cat) in *'-m addrtype'*) printf '%s\\n' 'iptables-nft-restore "
                   "v1.8.9 (nf_tables): ' 'line 3: RULE_APPEND failed (No such file or directory): "
                   "rule in chain portsmith-probe' 'and more'; exit 4;; esac\n");
    install_script("ip6tables-nft-restore", "#!/bin/sh\ncat >/dev/null\n");
    assert_result(probe_xtables(&found, BACKEND_NFT, 0, &why), PROBE_UNUSABLE, why);
    says("the addrtype match does not work here (line 3: RULE_APPEND failed (No such file or "
         "directory): rule in chain portsmith-probe): load the kernel's module");
}

#define REFUSE(what) "#!/bin/sh\nt=$(cat)\ncase $t in *'" what "'*) echo 'no such extension'; "    \
                     "exit 2;; esac\nexit 0\n"

static void a_missing_match_is_named(void **state)
{
    (void)state;
    install_script("iptables-nft-restore", REFUSE("-m time"));
    install_script("ip6tables-nft-restore", "#!/bin/sh\ncat >/dev/null\n");
    assert_result(probe_xtables(&found, BACKEND_NFT, PROBE_DEADLINES, &why), PROBE_UNUSABLE, why);
    says("the time match does not work here (");
    says("no such extension): load the kernel's module xt_time, or install it");
    says_nothing_of("kernel-modules-extra"); /* where it is not */
}

static void the_package_of_a_module_is_named(void **state)
{
    (void)state;
    install_script("iptables-nft-restore", REFUSE("-m addrtype"));
    install_script("ip6tables-nft-restore", "#!/bin/sh\ncat >/dev/null\n");
    assert_result(probe_xtables(&found, BACKEND_NFT, 0, &why), PROBE_UNUSABLE, why);
    says("the addrtype match does not work here (");
    says("): load the kernel's module xt_addrtype, or install it (RHEL and its like: the package "
         "kernel-modules-extra)");
}

/* As iptables says it of a file of its own. */
static void a_missing_extension_is_no_missing_module(void **state)
{
    (void)state;
    install_script("iptables-nft-restore",
                   "#!/bin/sh\ncase $(cat) in *'-m comment'*) echo \"Couldn't load match "
                   "\\`comment':No such file or directory\"; exit 2;; esac\n");
    install_script("ip6tables-nft-restore", "#!/bin/sh\ncat >/dev/null\n");
    assert_result(probe_xtables(&found, BACKEND_NFT, 0, &why), PROBE_UNUSABLE, why);
    says("the comment match does not work here (");
    says("): install all of iptables, as that file of it is missing");
    says_nothing_of("module");
}

/* And where none is to be limited it may be missing. */
static void what_only_some_wish_for_is_named_if_they_do(void **state)
{
    (void)state;
    install_script("iptables-nft-restore", REFUSE("-m hashlimit"));
    install_script("ip6tables-nft-restore", "#!/bin/sh\ncat >/dev/null\n");
    assert_result(probe_xtables(&found, BACKEND_NFT, 0, &why), PROBE_USABLE, why);
    assert_result(probe_xtables(&found, BACKEND_NFT, PROBE_LIMITS, &why), PROBE_UNUSABLE, why);
    assert_non_null(strstr(why.text, "the hashlimit match does not work here"));
}

static void without_the_time_match_a_trial_is_told_what_to_do(void **state)
{
    (void)state;
    install_script("iptables-nft-restore", REFUSE("-m time"));
    install_script("ip6tables-nft-restore", "#!/bin/sh\ncat >/dev/null\n");
    assert_result(probe_xtables(&found, BACKEND_NFT, 0, &why), PROBE_USABLE, why);
    assert_result(probe_xtables(&found, BACKEND_NFT, PROBE_TRIAL | PROBE_DEADLINES, &why),
                  PROBE_UNUSABLE, why);
    assert_non_null(strstr(why.text, "the time match does not work here"));
    assert_non_null(strstr(why.text, "systemd-run --on-active=15min portsmithctl release"));
}

/* And nothing of a try is left. */
static void sessions_are_told_in_every_family(void **state)
{
    (void)state;
    install_nft();
    assert_done(probe_choose(&found, BACKEND_NFT, &why), why);
    assert_false(found.tells_sessions[IPV4] || found.tells_sessions[IPV6]);
    assert_done(probe_sessions(&found, &why), why);
    assert_true(found.tells_sessions[IPV4] && found.tells_sessions[IPV6]);
    no_scratch_chain_is_left();
}

static void in_a_family_without_a_match_sessions_are_not_told(void **state)
{
    static const char *const scripts[] = {REFUSE("-m cgroup"), REFUSE("-m policy")};
    static const char *const names[] = {"the cgroup match does", "the policy match does"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        install_script("iptables-nft-restore", "#!/bin/sh\ncat >/dev/null\n");
        install_script("ip6tables-nft-restore", scripts[i]);
        assert_result(probe_xtables(&found, BACKEND_NFT, 0, &why), PROBE_USABLE, why);
        assert_false(probe_sessions(&found, &why));
        assert_true(found.tells_sessions[IPV4] && !found.tells_sessions[IPV6]);
        assert_non_null(strstr(why.text, names[i]));
    }
}

static void a_kernel_that_looks_for_no_sockets_tells_no_sessions(void **state)
{
    static const char *const switches[] = {"ip_early_demux", "tcp_early_demux"};

    (void)state;
    install_nft();
    assert_done(probe_choose(&found, BACKEND_NFT, &why), why);
    for (size_t i = 0; i < COUNT_OF(switches); i++) {
        run_command("echo 0 >/proc/sys/net/ipv4/%s", switches[i]);
        assert_false(probe_sessions(&found, &why));
        assert_non_null(strstr(why.text, switches[i]));
        run_command("echo 1 >/proc/sys/net/ipv4/%s", switches[i]);
    }
    assert_done(probe_sessions(&found, &why), why);
}

/* Each feature works alone, all together do not: nothing to name but what it said. */
static void a_refusal_without_a_missing_match_is_told_as_it_is(void **state)
{
    (void)state;
    install_script("iptables-nft-restore",
                   "#!/bin/sh\nt=$(cat)\ncase $t in *addrtype*time*) echo 'too much'; exit 1;; "
                   "esac\nexit 0\n");
    assert_result(probe_xtables(&found, BACKEND_NFT, PROBE_DEADLINES, &why), PROBE_UNUSABLE, why);
    assert_non_null(strstr(why.text, "too much"));
}

static void one_that_is_held_up_decides_nothing(void **state)
{
    (void)state;
    install_script("iptables-nft-restore", "#!/bin/sh\ncat >/dev/null\necho busy\nexit 4\n");
    assert_result(probe_xtables(&found, BACKEND_NFT, 0, &why), PROBE_UNDECIDED, why);
    assert_non_null(strstr(why.text, "busy"));
}

/* So that no feature is blamed. */
static void what_is_refused_and_then_held_up_decides_nothing(void **state)
{
    (void)state;
    install_script("iptables-nft-restore",
                   "#!/bin/sh\ncase $(cat) in *-A*) exit 2;; esac\necho busy\nexit 4\n");
    assert_result(probe_xtables(&found, BACKEND_NFT, 0, &why), PROBE_UNDECIDED, why);
    says("busy");
    says_nothing_of("match");
}

/* What another process has made is gone soon, or was left by one that was killed. */
static void whoever_tries_sets_at_the_same_time_is_waited_for(void **state)
{
    (void)state;
    install_nft();
    run_command("/run/real/ipset create portsmith-probe hash:ip; "
                "(sleep 0.3; /run/real/ipset destroy portsmith-probe && touch /run/undisturbed) &");
    assert_result(probe_xtables(&found, BACKEND_NFT, PROBE_SETS, &why), PROBE_USABLE, why);
    run_command("test -e /run/undisturbed");
    run_command("/run/real/ipset create portsmith-probe hash:ip");
    assert_result(probe_xtables(&found, BACKEND_NFT, PROBE_SETS, &why), PROBE_USABLE, why);
    run_command("test -z \"$(/run/real/ipset list -n)\"");
    no_scratch_chain_is_left();
}

/* In a new namespace legacy has no tables until somebody asks it for them. */
static void legacy_tables_are_seen_without_making_any(void **state)
{
    (void)state;
    assert_false(probe_legacy_in_use(IPV4));
    assert_false(probe_legacy_in_use(IPV4));
    run_command("/run/real/iptables-legacy -w 5 -S >/dev/null");
    assert_true(probe_legacy_in_use(IPV4));
    assert_false(probe_legacy_in_use(IPV6));
}

#define ELSEWHERE(test) cmocka_unit_test_setup_teardown(test, hide_programs, show_programs)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ELSEWHERE(a_host_without_iptables_is_told_what_to_install),
        ELSEWHERE(one_family_without_a_program_is_named),
        ELSEWHERE(choosing_runs_nothing),
        ELSEWHERE(without_a_plain_name_nft_comes_first),
        ELSEWHERE(a_plain_name_is_what_it_leads_to),
        ELSEWHERE(a_name_that_leads_nowhere_is_still_what_it_was),
        ELSEWHERE(a_firewall_that_may_not_be_changed_is_told_of),
        ELSEWHERE(a_kernel_without_tables_is_told_of),
        ELSEWHERE(a_kernel_without_a_family_is_told_of),
        ELSEWHERE(a_program_that_does_not_work_is_told_of),
        ELSEWHERE(of_what_a_program_says_the_first_line_counts),
        ELSEWHERE(a_missing_match_is_named),
        ELSEWHERE(the_package_of_a_module_is_named),
        ELSEWHERE(a_missing_extension_is_no_missing_module),
        ELSEWHERE(what_only_some_wish_for_is_named_if_they_do),
        ELSEWHERE(without_the_time_match_a_trial_is_told_what_to_do),
        ELSEWHERE(sessions_are_told_in_every_family),
        ELSEWHERE(in_a_family_without_a_match_sessions_are_not_told),
        ELSEWHERE(a_kernel_that_looks_for_no_sockets_tells_no_sessions),
        ELSEWHERE(a_refusal_without_a_missing_match_is_told_as_it_is),
        ELSEWHERE(one_that_is_held_up_decides_nothing),
        ELSEWHERE(what_is_refused_and_then_held_up_decides_nothing),
        ELSEWHERE(whoever_tries_sets_at_the_same_time_is_waited_for),
        cmocka_unit_test(legacy_tables_are_seen_without_making_any),
    };

    return cmocka_run_group_tests_name("probe", tests, enter, scratch_leave);
}
