/* What portsmith-firewall shuts by a table of its own: as the kernel takes it, nft(8) prints it,
 * and packets meet it. */
#include "check.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "daemon/portsmith-firewall/enforce.h"
#include "daemon/portsmith-firewall/saved.h"
#include "daemon/portsmith-firewall/vianftables.h"
#include "netspace.h"

#define HERE "198.18.0.1"
#define THERE "198.18.0.2"

enum { MARK = 0x100, LONG_SECONDS = 3600 };

static struct config config;
static struct enforcer enforcer;
static struct error why;
static const struct plan nothing;

static int begin(void **state)
{
    (void)state;
    config = (struct config){.backend = BACKEND_NFTABLES};
    if (netspace_renew() != 0)
        return -1;
    return enforce_choose(&enforcer, &config, true, &why) ? 0 : -1;
}

static int64_t now(void)
{
    return clock_wall_ns() / NSEC_PER_SEC;
}

static struct plan plan_of(const char *confirmed, const char *trial, int64_t seconds)
{
    struct plan plan = {.is_confirmed = confirmed != NULL, .on_trial = trial != NULL,
                        .until = now() + seconds};

    assert_true(!confirmed || !*confirmed || ruleset_allow(&plan.confirmed, confirmed, &why));
    assert_true(!trial || !*trial || ruleset_allow(&plan.trial, trial, &why));
    return plan;
}

static void put(const struct plan *plan)
{
    assert_result(enforce_plan(&enforcer, plan, NULL, &why), RESTORE_DONE, why);
}

static bool is_intact(const struct plan *plan)
{
    bool intact = enforce_looks_intact(&enforcer, IPV4, plan);

    assert_int_equal(enforce_looks_intact(&enforcer, IPV6, plan), intact);
    return intact;
}

static void assert_listed(const char *listed, const char *expected)
{
    if (!strstr(listed, expected))
        fail_msg("no '%s' in:\n%s", expected, listed);
}

/* ---- what nft(8) prints -------------------------------------------------- */

#define NEEDED(tabs) \
    tabs "iif \"lo\" accept\n" \
    tabs "ct state established,related accept\n" \
    tabs "icmp type @icmp4 accept\n" \
    tabs "meta nfproto ipv4 udp sport 67 udp dport 68 accept\n" \
    tabs "icmpv6 type @icmp6 accept\n" \
    tabs "ip6 saddr fe80::/10 ip6 daddr fe80::/10 udp dport 546 accept\n"

static void it_is_listed_as_it_is_meant(void **state)
{
    struct plan plan = plan_of("tcp/22,udp/53", NULL, 0);
    char *listed;

    (void)state;
    put(&plan);
    listed = output_of("nft list table inet portsmith-firewall");
    assert_listed(listed, "\tset icmp4 {\n\t\ttype icmp_type\n\t\tflags constant\n"
                          "\t\telements = { destination-unreachable,");
    assert_listed(listed, "\tset icmp6 {\n\t\ttype icmpv6_type\n");
    assert_listed(listed, "\ttype inet_proto . inet_service\n\t\tflags constant\n");
    assert_listed(listed, "type filter hook input priority 200; policy accept;\n"
                          "\t\tjump confirmed\n\t}");
    assert_listed(listed, "\tchain confirmed {\n" NEEDED("\t\t"));
    assert_listed(listed, "\t\tmeta l4proto . th dport @confirmed accept\n\t\tgoto closed\n\t}");
    assert_listed(listed, "\tchain closed {\n\t\tdrop\n\t}");
    free(listed);
    plan = plan_of(NULL, "", LONG_SECONDS);
    put(&plan);
    listed = output_of("nft list table inet portsmith-firewall");
    assert_null(strstr(listed, "confirmed"));
    assert_null(strstr(listed, "th dport @")); /* nothing is allowed */
    free(listed);
}

/* What is printed can be loaded again. */
static void a_saved_ruleset_loads(void **state)
{
    const struct plan plan = plan_of("tcp/22", "tcp/80", LONG_SECONDS);

    (void)state;
    put(&plan);
    run_command("nft list ruleset >saved && nft flush ruleset");
    assert_false(is_intact(&plan));
    run_command("nft -f saved");
    assert_true(is_intact(&plan));
}

/* nft 1.1 writes such flags in another way than nft 1.0. */
static void assert_segments_pass(const char *listed, const char *which)
{
    char old[128], new[128];

    snprintf(old, sizeof old, "tcp flags ack / syn,rst,ack %s accept\n", which);
    snprintf(new, sizeof new, "tcp flags & (syn | rst | ack) == ack %s accept\n", which);
    assert_listed(listed, strstr(listed, new) ? new : old);
}

/* Where sessions cannot be told apart they go on. */
static void segments_of_sessions_pass(void **state)
{
    const struct plan plan = plan_of("tcp/22", NULL, 0);
    char *listed;

    (void)state;
    put(&plan);
    listed = output_of("nft list chain inet portsmith-firewall confirmed");
    assert_segments_pass(listed, "ct state new");
    assert_null(strstr(listed, "cgroup"));
    free(listed);
    assert_done(enforce_find_sessions(&enforcer, &why), why);
    put(&plan);
    listed = output_of("nft list chain inet portsmith-firewall confirmed");
    assert_listed(listed, "meta l4proto tcp meta cgroup >= 0 accept\n");
    assert_segments_pass(listed, "meta ipsec exists");
    assert_null(strstr(listed, "ct state new"));
    free(listed);
}

static void a_kernel_that_finds_no_sockets_tells_no_sessions(void **state)
{
    (void)state;
    run_command("echo 0 >/proc/sys/net/ipv4/tcp_early_demux"); /* of this network alone */
    enforcer.tells_sessions = true;
    assert_false(enforce_find_sessions(&enforcer, &why));
    assert_non_null(strstr(why.text, "tcp_early_demux"));
    assert_false(enforcer.tells_sessions);
}

/* ---- packets ------------------------------------------------------------- */

/* A host behind an interface, in a network of its own. */
static int make_there(void **state)
{
    if (begin(state) != 0)
        return -1;
    run_command("mkdir -p /run/netns && ip netns add there && "
                "ip link add here type veth peer name there netns there && "
                "ip address add " HERE "/24 dev here && ip link set here up && "
                "ip -n there address add " THERE "/24 dev there && ip -n there link set there up");
    return 0;
}

static int remove_there(void **state)
{
    (void)state;
    run_command("ip netns delete there");
    return 0;
}

static int listen_at(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* From a port of that host's. */
static void send_from_there(uint16_t from, uint16_t to)
{
    run_command("echo x | ip netns exec there socat -u - UDP4:" HERE ":%u,sourceport=%u", to, from);
}

/* Both with their checksums, in printf(1)'s words. */
#define ECHO_REQUEST "\\010\\0\\367\\376\\0\\0\\0\\01"
#define TIMESTAMP_REQUEST "\\015\\0\\362\\376\\0\\0\\0\\01"

static void send_icmp(const char *message)
{
    run_command("printf '%s' | ip netns exec there socat -u - IP4-SENDTO:" HERE ":1", message);
}

static bool receives(int fd, int milliseconds)
{
    char text[64];

    return is_readable(fd, milliseconds) && recv(fd, text, sizeof text, 0) > 0;
}

enum { OPEN_PORT = 5300, SHUT_PORT = 5301, PATIENCE_MS = 20000 };

/* What comes to the open port comes later, and so tells that the other has been dropped. */
static bool gets_to_shut_port(int open_fd, int shut_fd, uint16_t from)
{
    send_from_there(from, SHUT_PORT);
    send_from_there(from, OPEN_PORT);
    assert_true(receives(open_fd, PATIENCE_MS));
    return receives(shut_fd, 0);
}

static void only_what_is_allowed_comes_in(void **state)
{
    const struct plan plan = plan_of("udp/5300", NULL, 0);
    int open_fd = listen_at(OPEN_PORT), shut_fd = listen_at(SHUT_PORT), dhcp = listen_at(68);
    int icmp = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

    (void)state;
    assert_true(gets_to_shut_port(open_fd, shut_fd, 1000));
    put(&plan);
    assert_false(gets_to_shut_port(open_fd, shut_fd, 1001));
    send_icmp(ECHO_REQUEST);
    assert_true(receives(icmp, PATIENCE_MS));
    send_icmp(TIMESTAMP_REQUEST);
    assert_false(gets_to_shut_port(open_fd, shut_fd, 1004));
    assert_false(receives(icmp, 0));
    send_from_there(67, 68);
    assert_true(receives(dhcp, PATIENCE_MS));
    send_from_there(66, 68);
    assert_false(gets_to_shut_port(open_fd, shut_fd, 1002));
    assert_false(receives(dhcp, 0));
    put(&nothing);
    assert_true(gets_to_shut_port(open_fd, shut_fd, 1003));
    close(open_fd);
    close(shut_fd);
    close(dhcp);
    close(icmp);
}

static void what_is_marked_as_granted_comes_in(void **state)
{
    const struct plan plan = plan_of("udp/5300", NULL, 0);
    int open_fd = listen_at(OPEN_PORT), shut_fd = listen_at(SHUT_PORT);

    (void)state;
    enforcer.accept_mark = MARK;
    put(&plan);
    run_command("nft 'table inet grants { chain c { type filter hook prerouting priority -160; "
                "udp sport 1001 meta mark set 0x300; udp sport 1002 meta mark set 0x200; }; }'");
    assert_true(gets_to_shut_port(open_fd, shut_fd, 1001));
    assert_false(gets_to_shut_port(open_fd, shut_fd, 1002));
    close(open_fd);
    close(shut_fd);
}

/* By the kernel: no process has a part in it. */
static void a_trial_ends_by_itself(void **state)
{
    struct plan plan = plan_of("udp/5300,udp/5301", "udp/5300", 0);
    int open_fd = listen_at(OPEN_PORT), shut_fd = listen_at(SHUT_PORT);
    bool was_shut;
    uint16_t from = 2000;

    (void)state;
    plan.until = now() + 6;
    put(&plan);
    was_shut = !gets_to_shut_port(open_fd, shut_fd, from);
    assert_true(was_shut || now() >= plan.until); /* a machine may be as slow as that */
    while (!gets_to_shut_port(open_fd, shut_fd, ++from))
        assert_true(now() < plan.until + 60);
    assert_true(now() >= plan.until);
    close(open_fd);
    close(shut_fd);
}

/* ---- what is seen of it -------------------------------------------------- */

static void damage_is_seen(void **state)
{
    static const char *const damages[] = {
        "nft flush ruleset",
        "nft add table inet portsmith-firewall '{ flags dormant; }'",
        "nft flush chain inet portsmith-firewall input",
        "nft flush chain inet portsmith-firewall closed",
        "nft flush chain inet portsmith-firewall confirmed",
        "nft delete rule inet portsmith-firewall input handle $(nft -a list ruleset | "
        "sed -n 's/.*jump confirmed # handle //p')",
        "nft delete table inet portsmith-firewall; nft add table inet portsmith-firewall",
    };
    const struct plan plan = plan_of("tcp/22", "tcp/80", LONG_SECONDS);
    struct plan later = plan;

    (void)state;
    assert_false(is_intact(&plan));
    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        put(&plan);
        assert_true(is_intact(&plan));
        run_command("%s", damages[i]);
        if (is_intact(&plan))
            fail_msg("not seen: %s", damages[i]);
    }
    put(&plan);
    later.until++;
    assert_false(is_intact(&later));
}

/* The sweeper asks for the trial alone. */
static void a_part_of_what_is_there_is_seen(void **state)
{
    const struct plan both = plan_of("tcp/22", "tcp/80", LONG_SECONDS);
    struct plan trial = both, confirmed = both;

    (void)state;
    trial.is_confirmed = false;
    confirmed.on_trial = false;
    put(&both);
    assert_true(is_intact(&trial) && is_intact(&confirmed));
    put(&confirmed);
    assert_true(!is_intact(&trial) && is_intact(&confirmed));
    put(&trial);
    assert_true(is_intact(&trial) && !is_intact(&confirmed));
}

static void a_table_that_somebody_owns_is_told(void **state)
{
    const struct plan plan = plan_of("tcp/22", NULL, 0);
    FILE *owner = popen("nft -i >/dev/null", "we");

    (void)state;
    assert_non_null(owner);
    fputs("add table inet portsmith-firewall { flags owner; }\n", owner);
    fflush(owner);
    for (int waited = 0; !via_nftables_finds(NFPROTO_INET, "portsmith-firewall", NULL); waited++) {
        assert_true(waited < PATIENCE_MS / 10);
        poll(NULL, 0, 10);
    }
    assert_result(enforce_plan(&enforcer, &plan, &nothing, &why), RESTORE_IMPOSSIBLE, why);
    assert_non_null(strstr(why.text, "another program's"));
    assert_false(enforce_removal(&why));
    assert_false(is_intact(&plan));
    pclose(owner);
    put(&plan);
    assert_true(is_intact(&plan));
}

/* ---- which back end ------------------------------------------------------ */

static void look_by(enum backend backend, enum enforce_state expected)
{
    config.backend = backend;
    assert_int_equal(enforce_look(&config), expected);
}

/* The scratch directory. */
static void save_in_scratch(const struct plan *plan)
{
    char *directory = get_current_dir_name();

    assert_non_null(directory);
    snprintf(config.state_directory, sizeof config.state_directory, "%s/state", directory);
    snprintf(config.run_directory, sizeof config.run_directory, "%s/run", directory);
    free(directory);
    run_command("mkdir -p state run");
    assert_done(saved_write(plan, &config, &why), why);
}

static void status_asks_the_back_end_that_has_it(void **state)
{
    const struct plan plan = plan_of("tcp/22", NULL, 0);

    (void)state;
    save_in_scratch(&plan);
    look_by(BACKEND_NFTABLES, ENFORCE_MISSING);
    put(&plan);
    look_by(BACKEND_NFTABLES, ENFORCE_IN_FORCE);
    look_by(BACKEND_AUTO, ENFORCE_IN_FORCE);
    look_by(BACKEND_NFT, ENFORCE_MISSING);
    put(&nothing);
    look_by(BACKEND_AUTO, ENFORCE_MISSING);
}

static void another_back_end_takes_its_place(void **state)
{
    const struct plan plan = plan_of("tcp/22", NULL, 0);

    (void)state;
    put(&plan);
    config.backend = BACKEND_NFT;
    assert_done(enforce_choose(&enforcer, &config, true, &why), why);
    put(&plan);
    assert_false(via_nftables_finds(NFPROTO_INET, "portsmith-firewall", NULL));
    assert_true(via_nftables_finds(NFPROTO_IPV4, "filter", "portsmith-firewall"));
    assert_true(is_intact(&plan));
    assert_done(enforce_removal(&why), why);
    assert_false(via_nftables_finds(NFPROTO_IPV6, "filter", "portsmith-firewall"));
}

static int hide_iptables(void **state)
{
    if (begin(state) != 0)
        return -1;
    run_command("mkdir -p /run/real && mount --bind /usr/sbin /run/real && "
                "mount -t tmpfs none /usr/sbin && ln -s /run/real/nft /usr/sbin/nft");
    return 0;
}

static int show_iptables(void **state)
{
    (void)state;
    run_command("umount /usr/sbin /run/real");
    return 0;
}

static void choose_auto(bool tries, enum backend expected)
{
    config.backend = BACKEND_AUTO;
    assert_done(enforce_choose(&enforcer, &config, tries, &why), why);
    assert_int_equal(enforcer.backend, expected);
}

static void a_host_without_iptables_has_nftables(void **state)
{
    const struct plan plan = plan_of("tcp/22", NULL, 0);

    (void)state;
    save_in_scratch(&plan);
    choose_auto(false, BACKEND_NFTABLES);
    choose_auto(true, BACKEND_NFTABLES);
    put(&plan);
    look_by(BACKEND_AUTO, ENFORCE_IN_FORCE);
    assert_done(enforce_removal(&why), why);
    look_by(BACKEND_AUTO, ENFORCE_MISSING);
    config.backend = BACKEND_NFT;
    assert_false(enforce_choose(&enforcer, &config, true, &why));
    assert_non_null(strstr(why.text, "iptables-nft is not installed"));
}

/* What iptables wrote is not given up for its program's sake. */
static void what_iptables_left_is_told_where_it_is_gone(void **state)
{
    (void)state;
    run_command("nft 'table ip6 filter { chain portsmith-firewall { }; }'");
    assert_false(enforce_removal(&why));
    assert_non_null(strstr(why.text, "is not installed"));
    run_command("nft delete table ip6 filter");
    assert_done(enforce_removal(&why), why);
}

/* Programs that are there but of no use, as without the modules of their matches. */
static void iptables_of_no_use_leaves_the_field(void **state)
{
    static const char script[] =
        "#!/bin/sh\ncase $(cat) in *-A*) echo no match >&2; exit 2; esac\n";

    (void)state;
    run_command("ln -s /run/real/iptables-nft /usr/sbin/iptables-restore");
    scratch_write_text("/usr/sbin/iptables-nft-restore", 0755, script);
    scratch_write_text("/usr/sbin/ip6tables-nft-restore", 0755, script);
    choose_auto(false, BACKEND_NFT);
    choose_auto(true, BACKEND_NFTABLES);
    put(&(struct plan){.is_confirmed = true});
    choose_auto(false, BACKEND_NFTABLES);
}

static void knocks_get_through_by_a_mark_alone(void **state)
{
    (void)state;
    assert_false(enforce_lets_knocks_in(&enforcer));
    config.accept_mark = MARK;
    assert_done(enforce_choose(&enforcer, &config, false, &why), why);
    assert_true(enforce_lets_knocks_in(&enforcer));
    config = (struct config){.backend = BACKEND_NFT};
    assert_done(enforce_choose(&enforcer, &config, false, &why), why);
    assert_true(enforce_lets_knocks_in(&enforcer));
}

static void what_portsmithd_shuts_is_found(void **state)
{
    (void)state;
    assert_false(enforce_finds_portsmithd());
    run_command("nft add table inet portsmith");
    assert_true(enforce_finds_portsmithd());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_listed_as_it_is_meant, begin),
        cmocka_unit_test_setup(a_saved_ruleset_loads, begin),
        cmocka_unit_test_setup(segments_of_sessions_pass, begin),
        cmocka_unit_test_setup(a_kernel_that_finds_no_sockets_tells_no_sessions, begin),
        cmocka_unit_test_setup_teardown(only_what_is_allowed_comes_in, make_there, remove_there),
        cmocka_unit_test_setup_teardown(what_is_marked_as_granted_comes_in, make_there,
                                        remove_there),
        cmocka_unit_test_setup_teardown(a_trial_ends_by_itself, make_there, remove_there),
        cmocka_unit_test_setup(damage_is_seen, begin),
        cmocka_unit_test_setup(a_part_of_what_is_there_is_seen, begin),
        cmocka_unit_test_setup(a_table_that_somebody_owns_is_told, begin),
        cmocka_unit_test_setup(status_asks_the_back_end_that_has_it, begin),
        cmocka_unit_test_setup(another_back_end_takes_its_place, begin),
        cmocka_unit_test_setup_teardown(a_host_without_iptables_has_nftables, hide_iptables,
                                        show_iptables),
        cmocka_unit_test_setup_teardown(what_iptables_left_is_told_where_it_is_gone, hide_iptables,
                                        show_iptables),
        cmocka_unit_test_setup_teardown(iptables_of_no_use_leaves_the_field, hide_iptables,
                                        show_iptables),
        cmocka_unit_test_setup(knocks_get_through_by_a_mark_alone, begin),
        cmocka_unit_test_setup(what_portsmithd_shuts_is_found, begin),
    };

    return cmocka_run_group_tests_name("enforcer", tests, netspace_enter, scratch_leave);
}
