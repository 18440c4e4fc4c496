#include "check.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/text/keys.h"
#include "daemon/config/config.h"
#include "daemon/config/pidfile.h"
#include "privsep/backend.h"
#include "sshlines.h"

/* In the scratch directory: */
#define MAIN "portsmith.conf"
#define PROFILES "profiles"

static char directory[256]; /* of the scratch, absolute */

static const uint8_t server_secret[KEY_SIZE] = {7, 7, 7, 7};

static const char *client_key(uint32_t number, char text[static KEY_TEXT_SIZE])
{
    uint8_t seed[KEY_SIZE] = {1, (uint8_t)number}, public[KEY_SIZE], signing[SIGNING_KEY_SIZE];

    crypto_sign_seed_keypair(public, signing, seed);
    return key_format(public, text);
}

/* portsmith.conf: what every test needs, then `rest` from line 8 on. */
static void write_main(const char *rest)
{
    char text[4096];

    snprintf(text, sizeof text,
             "[Portsmith]\nPort = 4000\nUser = nobody\nProfileDirectory = %s/" PROFILES "\n"
             "StateDirectory = %s/state\nRunDirectory = %s/run\nWitnessUser = daemon\n%s",
             directory, directory, directory, rest);
    scratch_write_text(MAIN, 0644, text);
}

/* A profile: section and key, then `rest` from line 3 on. */
static void write_profile_of(const char *name, const char *key, const char *rest)
{
    char text[4096], path[64];

    snprintf(path, sizeof path, PROFILES "/%s.conf", name);
    snprintf(text, sizeof text, "[Profile]\nPublicKey = %s\n%s", key, rest);
    scratch_write_text(path, 0600, text);
}

static void write_profile(const char *name, uint32_t number, const char *rest)
{
    char key[KEY_TEXT_SIZE];

    write_profile_of(name, client_key(number, key), rest);
}

static int enter(void **state)
{
    struct error why;

    if (sodium_init() < 0 || scratch_enter(state) != 0 || !getcwd(directory, sizeof directory))
        return -1;
    if (mkdir(PROFILES, 0700) != 0 || !key_file_create(PROFILES "/server.key", server_secret, &why))
        return -1;
    write_main("");
    return 0;
}

static void assert_says(const struct error *why, const char *expected)
{
    if (!strstr(why->text, expected))
        fail_msg("said '%s', not '%s'", why->text, expected);
}

static struct config *load(void)
{
    struct error why;
    struct config *c = config_load(MAIN, &why);

    if (!c)
        fail_msg("refused: %s", why.text);
    return c;
}

static void assert_load_refused(const char *expected)
{
    struct error why = {""};
    struct config *c = config_load(MAIN, &why);

    if (c)
        fail_msg("loaded, but '%s' was to be refused", expected);
    assert_says(&why, expected);
}

/* ---- portsmith.conf --------------------------------------------------------- */

static void left_out_keys_have_defaults(void **state)
{
    struct error why;
    struct config c;

    (void)state;
    scratch_write_text(MAIN, 0644, "[Portsmith]\nPort = 4000\n");
    assert_true(config_read_main(&c, MAIN, &why));
    assert_int_equal(c.interface_count, 1);
    assert_string_equal(c.interfaces[0], "any");
    assert_int_equal(c.port, 4000);
    assert_int_equal(c.backend, BACKEND_AUTO);
    assert_int_equal(c.shut_count, 0);
    assert_false(c.shut_with_reset);
    assert_true(c.skew_checked);
    assert_int_equal(c.max_skew, 300);
    assert_int_equal(c.window, 30);
    assert_int_equal(c.max_window, 600);
    assert_int_equal(c.max_grants, 1000);
    assert_string_equal(c.user, "portsmith");
    assert_string_equal(c.profile_directory, "/etc/portsmith.d");
    assert_int_equal(c.transports, 1u << TRANSPORT_UDP);
    assert_string_equal(c.state_directory, "/var/lib/portsmith");
    assert_string_equal(c.run_directory, "/run/portsmith");
    assert_string_equal(c.metrics_file, "");
}

static void every_key_is_read(void **state)
{
    struct error why;
    struct config c;

    (void)state;
    scratch_write_text(MAIN, 0644,
                       "[Portsmith]\nInterface = eth0, wg0\nInterface = eth0 ppp0\nPort = 1\n"
                       "Transports = icmp, udp\nTransports = icmp\n"
                       "Backend = iptables-legacy\nShut = udp/53 tcp/443\nShut = tcp/22 tcp/443\n"
                       "ShutWith = reset\nMaxSkew = off\nWindow = 1m\nMaxWindow = 1m\n"
                       "MaxGrants = 10000\nUser = knock_user\nWitnessUser = who_sees\n"
                       "ProfileDirectory = /a\n"
                       "StateDirectory = /b/c d\nRunDirectory = /e\n"
                       "MetricsFile = /f/portsmith.prom\n"
                       "Group = web\nMember = a.example.org\nPeers = 192.0.2.7, c\nPeers = d\n"
                       "SharedAddress = 192.0.2.9 2001:db8::9\nSharedAddress = 192.0.2.9\n");
    assert_true(config_read_main(&c, MAIN, &why));
    assert_int_equal(c.interface_count, 3);
    assert_string_equal(c.interfaces[2], "ppp0");
    assert_int_equal(c.port, 1);
    assert_int_equal(c.transports, 1u << TRANSPORT_UDP | 1u << TRANSPORT_ICMP);
    assert_int_equal(c.backend, BACKEND_LEGACY);
    assert_int_equal(c.shut_count, 3);
    assert_int_equal(c.shut[0].port, 22);
    assert_int_equal(c.shut[1].port, 443);
    assert_int_equal(c.shut[2].port, 53);
    assert_true(c.shut_with_reset);
    assert_false(c.skew_checked);
    assert_int_equal(c.window, 60);
    assert_int_equal(c.max_window, 60);
    assert_int_equal(c.max_grants, 10000);
    assert_string_equal(c.user, "knock_user");
    assert_string_equal(c.witness_user, "who_sees");
    assert_string_equal(c.profile_directory, "/a");
    assert_string_equal(c.state_directory, "/b/c d");
    assert_string_equal(c.run_directory, "/e");
    assert_string_equal(c.metrics_file, "/f/portsmith.prom");
    assert_string_equal(c.group, "web");
    assert_string_equal(c.member, "a.example.org");
    assert_int_equal(c.peer_count, 3);
    assert_string_equal(c.peers[0], "192.0.2.7");
    assert_string_equal(c.peers[2], "d");
    assert_int_equal(c.shared_count, 2);
    assert_true(address_is_ipv4(&c.shared[0]));
    assert_int_equal(c.shared[1].bytes[15], 9);
}

static void a_mark_is_decimal_or_hexadecimal(void **state)
{
    static const struct {
        const char *value;
        uint32_t mark;
    } marks[] = {{"1", 1}, {"256", 0x100}, {"0x100", 0x100}, {"0XfF", 0xff},
                 {"0xffffffff", UINT32_MAX}, {"4294967295", UINT32_MAX}, {"010", 10}};
    struct error why;
    struct config c;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        char text[128];

        snprintf(text, sizeof text,
                 "[Portsmith]\nPort = 1\nBackend = nftables\nForward = yes\nAcceptMark = %s\n",
                 marks[i].value);
        scratch_write_text(MAIN, 0644, text);
        assert_true(config_read_main(&c, MAIN, &why));
        assert_int_equal(c.accept_mark, marks[i].mark);
    }
}

#define SIXTEEN "a b c d e f g h i j k l m n o p"

static const struct {
    const char *content, *says;
} wrong_mains[] = {
    {"", MAIN ": expected a line 'Port = ...'"},
    {"[Portsmith]\n", MAIN ": expected a line 'Port = ...'"},
    {"[Server]\nPort = 1\n", MAIN ":1: expected the section [Portsmith], not [Server]"},
    {"[Portsmith]\n\nPorts = 1\n", MAIN ":3: unknown key 'Ports'"},
    {"[Portsmith]\nPort = 0\n", MAIN ":2: Port: '0' is not a port number"},
    {"[Portsmith]\nPort = 65536\n", MAIN ":2: Port: '65536' is not a port number"},
    {"[Portsmith]\nPort = 1\nPort = 2\n", MAIN ":3: Port is given a second time"},
    {"[Portsmith]\nInterface = a/b\n", MAIN ":2: Interface: 'a/b' is not an interface name"},
    {"[Portsmith]\nInterface = ..\n", MAIN ":2: Interface: '..' is not an interface name"},
    {"[Portsmith]\nInterface = 1234567890123456\n", MAIN ":2: Interface: '1234567890123456' is not "
                                                 "an interface name: that has 15 characters at "
                                                 "most. If it is an alternative name, take the one "
                                                 "that ip link show prints for it"},
    {"[Portsmith]\nInterface = any eth0\n", MAIN ":2: Interface: 'any' covers every"},
    {"[Portsmith]\nInterface = eth0\nInterface = any\n", MAIN ":3: Interface: 'any' covers every"},
    {"[Portsmith]\nInterface = " SIXTEEN " q\n", MAIN ":2: Interface: more than 16 interfaces"},
    {"[Portsmith]\nInterface =\n", MAIN ":2: Interface: expected a value"},
    {"[Portsmith]\nTransports = udp tcp\n",
     MAIN ":2: Transports: expected udp, tcp-syn or icmp, not 'tcp'"},
    {"[Portsmith]\nTransports = ,\n", MAIN ":2: Transports: expected a value"},
    {"[Portsmith]\nBackend = pf\n",
     MAIN ":2: Backend: expected auto, iptables-nft, iptables-legacy or nftables, not 'pf'"},
    {"[Portsmith]\nBackend =\n", MAIN ":2: Backend: expected auto, iptables-nft, iptables-legacy"},
    {"[Portsmith]\nPort = 1\nBackend = nftables\nGrantStore = rules\n",
     MAIN ": GrantStore is only for iptables: with Backend = nftables a grant is always an"},
    {"[Portsmith]\nPort = 1\nBackend = nftables\nGrantStore = set\n", MAIN ": GrantStore is only for ip"},
    {"[Portsmith]\nPort = 1\nBackend = nftables\nForward = yes\n",
     MAIN ": Forward = yes with Backend = nftables needs AcceptMark"},
    {"[Portsmith]\nPort = 1\nBackend = nft\nAcceptMark = 1\n",
     MAIN ": AcceptMark is for Backend = nftables: with iptables-nft Portsmith's own rules"},
    {"[Portsmith]\nPort = 1\nBackend = iptables-legacy\nAcceptMark = 1\n",
     MAIN ": AcceptMark is for Backend = nftables: with iptables-legacy"},
    {"[Portsmith]\nPort = 1\nGroup = web\n", MAIN ": Group needs a line 'Member = ...', the name by"},
    {"[Portsmith]\nPort = 1\nMember = a\n", MAIN ": Member is only for the hosts of a group: add a"},
    {"[Portsmith]\nPort = 1\nPeers = a\n", MAIN ": Peers is only for the hosts of a group: add a l"},
    {"[Portsmith]\nPort = 1\nGroup = web\nMember = a\nPeers = b A\n",
     MAIN ": Peers has A, which is this host by Member: name the others alone"},
    {"[Portsmith]\nGroup = Web\n", MAIN ":2: Group: 'Web' is not the name of a group: expected 1 to"},
    {"[Portsmith]\nGroup =\n", MAIN ":2: Group: '' is not the name of a group"},
    {"[Portsmith]\nMember = a b\n", MAIN ":2: Member: 'a b' is not a host name or an IP address"},
    {"[Portsmith]\nMember = -a\n", MAIN ":2: Member: '-a' is not a host name or an IP address"},
    {"[Portsmith]\nPeers = a,[::1]\n", MAIN ":2: Peers: '[::1]' is not a host name or an IP address"},
    {"[Portsmith]\nPeers = 1 2 3 4\nPeers = 5 6 7 8\n", MAIN ":3: Peers: more than 7 peers"},
    {"[Portsmith]\nSharedAddress = b.example.org\n",
     MAIN ":2: SharedAddress: 'b.example.org' is not an IP address: expected one such as"},
    {"[Portsmith]\nSharedAddress = [2001:db8::9]\n", MAIN ":2: SharedAddress: '[2001:db8::9]' is not"},
    {"[Portsmith]\nSharedAddress = 192.0.2.0/24\n", MAIN ":2: SharedAddress: '192.0.2.0/24' is not"},
    {"[Portsmith]\nSharedAddress = 127.0.0.1\n",
     MAIN ":2: SharedAddress: 127.0.0.1 cannot be an address that clients knock at"},
    {"[Portsmith]\nSharedAddress = fe80::1\n", MAIN ":2: SharedAddress: fe80::1 cannot be an"},
    {"[Portsmith]\nSharedAddress =\n", MAIN ":2: SharedAddress: expected a value"},
    {"[Portsmith]\nSharedAddress = 1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8 "
     "1.0.0.9\n", MAIN ":2: SharedAddress: more than 8 shared addresses"},
    {"[Portsmith]\nPort = 1\nSharedAddress = 192.0.2.9\n",
     MAIN ": SharedAddress needs a line 'Peers = ...', the other members"},
    {"[Portsmith]\nPort = 1\nGroup = web\nMember = 2001:db8:0::9\nPeers = b\n"
     "SharedAddress = 2001:db8::9\n", MAIN ": Member is 2001:db8:0::9, which SharedAddress says"},
    {"[Portsmith]\nPort = 1\nGroup = web\nMember = a\nPeers = b 192.0.2.9\n"
     "SharedAddress = 192.0.2.9\n", MAIN ": Peers has 192.0.2.9, which SharedAddress says"},
    {"[Portsmith]\nAcceptMark = 0\n", MAIN ":2: AcceptMark: '0' is out of range: a packet mark"},
    {"[Portsmith]\nAcceptMark = 0x100000000\n", MAIN ":2: AcceptMark: '0x100000000' is out of ra"},
    {"[Portsmith]\nAcceptMark = 99999999999999999999999\n", MAIN ":2: AcceptMark: '9999999999999"},
    {"[Portsmith]\nAcceptMark = 0x\n", MAIN ":2: AcceptMark: '0x' is not a packet mark: expec"},
    {"[Portsmith]\nAcceptMark = 0x10/0x10\n", MAIN ":2: AcceptMark: '0x10/0x10' is not a packet"},
    {"[Portsmith]\nAcceptMark = 1f\n", MAIN ":2: AcceptMark: '1f' is not a packet mark"},
    {"[Portsmith]\nAcceptMark = -1\n", MAIN ":2: AcceptMark: '-1' is not a packet mark"},
    {"[Portsmith]\nAcceptMark = 0x-1\n", MAIN ":2: AcceptMark: '0x-1' is not a packet mark"},
    {"[Portsmith]\nAcceptMark =\n", MAIN ":2: AcceptMark: '' is not a packet mark"},
    {"[Portsmith]\nGrantStore = ipset\n", MAIN ":2: GrantStore: expected auto, rules or set, not "},
    {"[Portsmith]\nPort = 1\nForward = yes\nGrantStore = set\n",
     MAIN ": GrantStore = set does not go with Forward = yes"},
    {"[Portsmith]\nShut = ssh\n", MAIN ":2: Shut: 'ssh' is not a service"},
    {"[Portsmith]\nShutWith = reject\n", MAIN ":2: ShutWith: expected drop or reset, not 'rej"},
    {"[Portsmith]\nMaxSkew = 0\n", MAIN ":2: MaxSkew: '0' is out of range"},
    {"[Portsmith]\nWindow = soon\n", MAIN ":2: Window: 'soon' is not a time span"},
    {"[Portsmith]\nMaxWindow = 8d\n", MAIN ":2: MaxWindow: '8d' is out of range"},
    {"[Portsmith]\nPort = 1\nWindow = 11m\n", MAIN ": Window (11m) is longer than MaxWindow (10m)"},
    {"[Portsmith]\nMaxGrants = 0\n", MAIN ":2: MaxGrants: '0' is not a number from 1 to 10000"},
    {"[Portsmith]\nMaxGrants = 10001\n", MAIN ":2: MaxGrants: '10001' is not a number from 1 to"},
    {"[Portsmith]\nMaxGrants = 1x\n", MAIN ":2: MaxGrants: '1x' is not a number"},
    {"[Portsmith]\nUser = -x\n", MAIN ":2: User: '-x' is not a user name"},
    {"[Portsmith]\nUser = 65534\n", MAIN ":2: User: '65534' is not a user name but a number; getent "
                                    "passwd 65534 prints the name"},
    {"[Portsmith]\nControlGroup = 0\n", MAIN ":2: ControlGroup: '0' is not a group name but a "
                                        "number; getent group 0 prints the name"},
    {"[Portsmith]\nUser = a b\n", MAIN ":2: User: 'a b' is not a user name"},
    {"[Portsmith]\nUser = a23456789012345678901234567890123\n", MAIN ":2: User: 'a2345678901234567"},
    {"[Portsmith]\nProfileDirectory = etc\n", MAIN ":2: ProfileDirectory: expected an absolute path"},
    {"[Portsmith]\nStateDirectory = ./x\n", MAIN ":2: StateDirectory: expected an absolute path"},
    {"[Portsmith]\nRunDirectory =\n", MAIN ":2: RunDirectory: expected an absolute path"},
};

static void wrong_mains_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong_mains); i++) {
        struct error why = {""};
        struct config c;

        scratch_write_text(MAIN, 0644, wrong_mains[i].content);
        if (config_read_main(&c, MAIN, &why))
            fail_msg("'%s' was read", wrong_mains[i].content);
        assert_says(&why, wrong_mains[i].says);
    }
}

static void a_missing_main_points_to_init(void **state)
{
    struct error why;
    struct config c;

    (void)state;
    assert_false(config_read_main(&c, "missing.conf", &why));
    assert_says(&why, "missing.conf: no such file; run portsmith-profile -c missing.conf init");
    errno = ENOENT; /* from somewhere earlier: this file is there */
    scratch_write_text(MAIN, 0644, "[Portsmith]\nPort = x\n");
    assert_false(config_read_main(&c, MAIN, &why));
    assert_says(&why, MAIN ":2: Port: 'x' is not a port number");
}

static void the_user_must_be_there_and_not_be_root(void **state)
{
    const struct passwd *user;
    struct config *c;

    (void)state;
    c = load();
    user = getpwnam("nobody");
    assert_non_null(user);
    assert_int_equal(c->uid, user->pw_uid);
    assert_int_equal(c->gid, user->pw_gid);
    user = getpwnam("daemon");
    assert_non_null(user);
    assert_int_equal(c->witness_uid, user->pw_uid);
    assert_int_equal(c->witness_gid, user->pw_gid);
    config_free(c);
    scratch_write_text(MAIN, 0644, "[Portsmith]\nPort = 1\nUser = no.such.user\n");
    assert_load_refused(MAIN ": the user 'no.such.user' does not exist; run portsmith-profile -c " MAIN " init");
    scratch_write_text(MAIN, 0644, "[Portsmith]\nPort = 1\nUser = root\n");
    assert_load_refused(MAIN ": User must not be root");
    scratch_write_text(MAIN, 0644, "[Portsmith]\nPort = 1\nUser = nobody\n"
                                   "WitnessUser = no.such.user\n");
    assert_load_refused(MAIN ": the user 'no.such.user' does not exist; run portsmith-profile -c " MAIN " init");
    scratch_write_text(MAIN, 0644, "[Portsmith]\nPort = 1\nUser = nobody\nWitnessUser = root\n");
    assert_load_refused(MAIN ": WitnessUser must not be root, as 'root' is; expected a user of its "
                             "own, such as portsmith-witness");
    scratch_write_text(MAIN, 0644, "[Portsmith]\nPort = 1\nUser = nobody\nWitnessUser = nobody\n");
    assert_load_refused(MAIN ": User and WitnessUser must not be one user, as 'nobody' is");
}

/* ---- the profile directory -------------------------------------------------- */

static void the_profile_directory_must_be_safe(void **state)
{
    (void)state;
    assert_int_equal(chmod(PROFILES, 0770), 0);
    assert_load_refused("/" PROFILES ": others may write to it; run: chmod go-w /");
    assert_int_equal(chmod(PROFILES, 0702), 0);
    assert_load_refused("/" PROFILES ": others may write to it");
    assert_int_equal(chmod(PROFILES, 0755), 0);
    config_free(load());
    if (geteuid() == 0) {
        assert_int_equal(chown(PROFILES, 12345, 0), 0);
        assert_load_refused("/" PROFILES ": belongs to user 12345, but must belong to root");
    }
}

static void the_profile_directory_must_exist(void **state)
{
    (void)state;
    assert_int_equal(rename(PROFILES, "elsewhere"), 0);
    assert_load_refused("/" PROFILES ": No such file or directory; run portsmith-profile -c " MAIN " init");
}

static void the_server_key_must_be_there_and_good(void **state)
{
    (void)state;
    assert_int_equal(chmod(PROFILES "/server.key", 0640), 0);
    assert_load_refused("/server.key: mode 0640 is too open; run: chmod 600");
    scratch_write_text(PROFILES "/server.key", 0600, "short\n");
    assert_load_refused("/server.key:1: not a key");
    assert_int_equal(unlink(PROFILES "/server.key"), 0);
    assert_load_refused("/server.key: No such file or directory; run portsmith-profile -c " MAIN " init");
}

static void other_files_are_ignored_and_bad_names_refused(void **state)
{
    struct config *c;

    (void)state;
    scratch_write_text(PROFILES "/alice.conf~", 0666, "nonsense");
    scratch_write_text(PROFILES "/README", 0644, "nonsense");
    c = load();
    assert_int_equal(c->profile_count, 0);
    config_free(c);
    write_profile("Alice", 1, "Open = tcp/22\n");
    assert_load_refused("/Alice.conf: a profile's name has 1 to 32 of a-z, 0-9 and -; rename it");
    assert_int_equal(rename(PROFILES "/Alice.conf", PROFILES "/.conf"), 0);
    assert_load_refused("/.conf: a profile's name has");
}

/* ---- profiles --------------------------------------------------------------- */

static void names_are_checked(void **state)
{
    (void)state;
    assert_true(profile_name_is_valid("a"));
    assert_true(profile_name_is_valid("laptop-2-of-alice"));
    assert_true(profile_name_is_valid("12345678901234567890123456789012"));
    assert_false(profile_name_is_valid("123456789012345678901234567890123"));
    assert_false(profile_name_is_valid(""));
    assert_false(profile_name_is_valid("A"));
    assert_false(profile_name_is_valid("a.b"));
    assert_false(profile_name_is_valid("../a"));
    assert_false(profile_name_is_valid("a "));
}

static void profiles_take_defaults_from_the_configuration(void **state)
{
    const struct profile *p;
    struct config *c;

    (void)state;
    write_main("Window = 45s\nMaxWindow = 2h\n");
    write_profile("alice", 1, "Open = tcp/22\n");
    c = load();
    p = config_find_profile(c, "alice");
    assert_non_null(p);
    assert_int_equal(p->policy->window, 45);
    assert_int_equal(p->policy->max_window, 7200);
    assert_int_equal(p->policy->max_grants, 32);
    assert_int_equal(p->port, 4000);
    assert_int_equal(p->policy->expires, 0);
    assert_int_equal(p->policy->prefix_count, 0);
    assert_false(p->policy->needs_signed_address);
    assert_false(p->has_preshared);
    assert_null(config_find_profile(c, "bob"));
    config_free(c);
}

static void every_profile_key_is_read(void **state)
{
    const struct profile *p;
    struct config *c;

    (void)state;
    write_profile("alice", 1,
                  "Open = udp/53, tcp/443\nOpen = tcp/22 tcp/22\nWindow = 1m\nMaxWindow = 5m\n"
                  "Address = signed 192.0.2.0/24\nAddress = 2001:db8::/32\nPort = 5000\n"
                  "Expires = 2027-01-31\nMaxGrants = 3\nConnections = 8\n");
    c = load();
    p = config_find_profile(c, "alice");
    assert_non_null(p);
    assert_int_equal(p->policy->service_count, 3);
    assert_int_equal(p->policy->services[0].port, 22);
    assert_int_equal(p->policy->services[1].port, 443);
    assert_int_equal(p->policy->services[2].port, 53);
    assert_int_equal(p->policy->window, 60);
    assert_int_equal(p->policy->max_window, 300);
    assert_true(p->policy->needs_signed_address);
    assert_int_equal(p->policy->prefix_count, 2);
    assert_int_equal(p->policy->prefixes[0].length, 96 + 24);
    assert_int_equal(p->port, 5000);
    assert_int_equal(p->policy->expires, 1801440000); /* 2027-02-01T00:00:00Z */
    assert_int_equal(p->policy->max_grants, 3);
    assert_int_equal(p->policy->connections, 8);
    assert_int_equal(c->port_count, 2);
    assert_int_equal(c->ports[0], 4000);
    assert_int_equal(c->ports[1], 5000);
    config_free(c);
}

#define SEVEN_PREFIXES "10.1.0.0/16 10.2.0.0/16 10.3.0.0/16 10.4.0.0/16 10.5.0.0/16 10.6.0.0/16 " \
                       "10.7.0.0/16"

static const struct {
    const char *rest, *says; /* what stands from line 3 on */
} wrong_profiles[] = {
    {"", "/alice.conf: expected a line 'Open = ...'"},
    {"Open = tcp/0\n", "/alice.conf:3: Open: '0' is not a port number"},
    {"Open = 22\n", "/alice.conf:3: Open: '22' is not a service"},
    {"Open = tcp/1 tcp/2 tcp/3 tcp/4 tcp/5 tcp/6 tcp/7 tcp/8 tcp/9\n"
     "Open = udp/1 udp/2 udp/3 udp/4 udp/5 udp/6 udp/7 udp/8\n",
     "/alice.conf:4: Open: more than 16 services"},
    {"Open = tcp/22\nUser = x\n", "/alice.conf:4: unknown key 'User' in [Profile]"},
    {"Open = tcp/22\nWindow = x\n", "/alice.conf:4: Window: 'x' is not a time span"},
    {"Open = tcp/22\nMaxWindow = -1\n", "/alice.conf:4: MaxWindow: '-1' is not a time span"},
    {"Open = tcp/22\nWindow = 11m\n", "/alice.conf: Window (11m) is longer than MaxWindow (10m)"},
    {"Open = tcp/22\nMaxWindow = 10s\n", "/alice.conf: Window (30s) is longer than MaxWindow (10s)"},
    {"Open = tcp/22\nAddress = all\n", "/alice.conf:4: Address: expected any, signed or a"},
    {"Open = tcp/22\nAddress = 10.0.0.1/8\n", "/alice.conf:4: Address: "},
    {"Open = tcp/22\nAddress = any\nAddress = signed\n", "/alice.conf:5: Address: any and"},
    {"Open = tcp/22\nAddress = signed any\n", "/alice.conf:4: Address: any and signed"},
    {"Open = tcp/22\nAddress = " SEVEN_PREFIXES " 10.8.0.0/16 10.9.0.0/16\n",
     "/alice.conf:4: Address: more than 8 prefixes"},
    {"Open = tcp/22\nPort = 70000\n", "/alice.conf:4: Port: '70000' is not a port number"},
    {"Open = tcp/22\nExpires = 2027-02-29\n", "/alice.conf:4: Expires: '2027-02-29' is not a day"},
    {"Open = tcp/22\nExpires = tomorrow\n", "/alice.conf:4: Expires: 'tomorrow' is not a date"},
    {"Open = tcp/22\nPresharedKey = x\n", "/alice.conf:4: PresharedKey: not a key"},
    {"Open = tcp/22\nMaxGrants = none\n", "/alice.conf:4: MaxGrants: 'none' is not a number"},
    {"Open = tcp/22\nConnections = 0\n", "/alice.conf:4: Connections: '0' is not a number from 1 to 8"},
    {"Open = tcp/22\nConnections = 9\n", "/alice.conf:4: Connections: '9' is not a number from 1 to 8"},
};

static void wrong_profiles_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong_profiles); i++) {
        write_profile("alice", 1, wrong_profiles[i].rest);
        assert_load_refused(wrong_profiles[i].says);
    }
}

static void unusable_public_keys_are_refused(void **state)
{
    /* Nothing; no base64; the neutral point 1, of order 1; 0, of order 4; 2,
     * which is the height of no point. */
    static const struct {
        const char *line, *says;
    } wrong[] = {
        {"", "/alice.conf: expected a line 'PublicKey = ...'"},
        {"PublicKey = a\n", "/alice.conf:2: PublicKey: not a key"},
        {"PublicKey = AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
         "/alice.conf:2: PublicKey: not a usable public key"},
        {"PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
         "/alice.conf:2: PublicKey: not a usable public key"},
        {"PublicKey = AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
         "/alice.conf:2: PublicKey: not a usable public key"},
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        snprintf(text, sizeof text, "[Profile]\n%sOpen = tcp/22\n", wrong[i].line);
        scratch_write_text(PROFILES "/alice.conf", 0600, text);
        assert_load_refused(wrong[i].says);
    }
}

static void all_services_of_a_profile_must_fit(void **state)
{
    (void)state;
    write_profile("alice", 1, "Open = tcp/22 tcp/80\nMaxGrants = 1\n");
    assert_load_refused("/alice.conf: MaxGrants (1) is less than the services to open (2)");
    write_profile("alice", 1, "Open = tcp/22 tcp/80\nMaxGrants = 2\n");
    config_free(load());
}

static void removed_profiles_can_be_forgotten(void **state)
{
    struct config *c;

    (void)state;
    write_profile("alice", 1, "Open = tcp/22\n");
    write_profile("bob", 2, "Open = tcp/22\n");
    write_profile("carol", 3, "Open = tcp/22\n");
    c = load();
    assert_int_equal(config_forget_removed_profiles(c), 0);
    assert_int_equal(unlink(PROFILES "/alice.conf"), 0);
    assert_int_equal(config_forget_removed_profiles(c), 1);
    assert_null(config_find_profile(c, "alice"));
    assert_non_null(config_find_profile(c, "bob"));
    assert_non_null(config_find_profile(c, "carol"));
    assert_int_equal(unlink(PROFILES "/bob.conf"), 0);
    assert_int_equal(unlink(PROFILES "/carol.conf"), 0);
    assert_int_equal(config_forget_removed_profiles(c), 2);
    assert_int_equal(c->profile_count, 0);
    assert_int_equal(config_forget_removed_profiles(c), 0);
    config_free(c);
}

static void profile_files_must_be_safe(void **state)
{
    char rest[128], key[KEY_TEXT_SIZE];

    (void)state;
    write_profile("alice", 1, "Open = tcp/22\n");
    assert_int_equal(chmod(PROFILES "/alice.conf", 0664), 0);
    assert_load_refused("/alice.conf: mode 0664 is too open; run: chmod go-w");
    assert_int_equal(chmod(PROFILES "/alice.conf", 0644), 0);
    config_free(load());
    snprintf(rest, sizeof rest, "Open = tcp/22\nPresharedKey = %s\n", client_key(9, key));
    write_profile("alice", 1, rest);
    config_free(load());
    assert_int_equal(chmod(PROFILES "/alice.conf", 0644), 0);
    assert_load_refused("/alice.conf: mode 0644 is too open; run: chmod 600");
    assert_int_equal(unlink(PROFILES "/alice.conf"), 0);
    assert_int_equal(symlink("elsewhere", PROFILES "/alice.conf"), 0);
    assert_load_refused("/alice.conf: is a symbolic link");
}

static void two_profiles_with_one_key_are_refused(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        char name[16];

        snprintf(name, sizeof name, "client-%u", i);
        write_profile(name, i, "Open = tcp/22\n");
    }
    config_free(load());
    write_profile("zoe", 7, "Open = tcp/80\n");
    assert_load_refused("/zoe.conf: PublicKey: the same key as in profile 'client-7'");
}

static void knock_ports_are_collected_up_to_the_limit(void **state)
{
    char name[16], rest[64];
    struct config *c;

    (void)state;
    for (uint32_t i = 0; i < CONFIG_KNOCK_PORTS; i++) {
        snprintf(name, sizeof name, "c%u", i);
        snprintf(rest, sizeof rest, "Open = tcp/22\nPort = %u\n", 4031 - i);
        write_profile(name, i, rest);
    }
    c = load();
    assert_int_equal(c->port_count, CONFIG_KNOCK_PORTS);
    for (unsigned i = 0; i < CONFIG_KNOCK_PORTS; i++)
        assert_int_equal(c->ports[i], 4000 + i);
    config_free(c);
    write_profile("one-more", 99, "Open = tcp/22\nPort = 5000\n");
    assert_load_refused("/one-more.conf: Port: more than 32 knock ports in all");
}

static void profiles_are_sorted_by_name(void **state)
{
    static const char *const names[] = {"b", "a-b", "a", "ab", "0"};
    static const char *const sorted[] = {"0", "a", "a-b", "ab", "b"};
    struct config *c;

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(names); i++)
        write_profile(names[i], i, "Open = tcp/22\n");
    c = load();
    assert_int_equal(c->profile_count, COUNT_OF(sorted));
    for (unsigned i = 0; i < COUNT_OF(sorted); i++) {
        assert_string_equal(c->profiles[i].policy->name, sorted[i]);
        assert_ptr_equal(config_find_profile(c, sorted[i]), &c->profiles[i]);
    }
    config_free(c);
}

/* ---- keys ------------------------------------------------------------------- */

/* The envelope key is the one that the client comes to, with and without a
 * pre-shared key. */
static void assert_keys_agree(const char *rest, const uint8_t *preshared)
{
    uint8_t seed[KEY_SIZE] = {1, 1}, public[KEY_SIZE], signing[SIGNING_KEY_SIZE];
    uint8_t expected[KEY_SIZE], id[KEY_ID_SIZE];
    struct config *c;

    write_profile("alice", 1, rest);
    c = load();
    crypto_sign_seed_keypair(public, signing, seed);
    assert_true(envelope_key_of_client(expected, signing, c->server_public, preshared));
    assert_memory_equal(c->profiles[0].envelope_key, expected, KEY_SIZE);
    envelope_key_id(id, public);
    assert_memory_equal(c->profiles[0].key_id, id, KEY_ID_SIZE);
    config_free(c);
}

static void envelope_keys_are_those_of_the_client(void **state)
{
    static const uint8_t preshared[KEY_SIZE] = {5, 5, 5};
    char rest[128], key[KEY_TEXT_SIZE];

    (void)state;
    assert_keys_agree("Open = tcp/22\n", NULL);
    snprintf(rest, sizeof rest, "Open = tcp/22\nPresharedKey = %s\n", key_format(preshared, key));
    assert_keys_agree(rest, preshared);
}

/* ---- ssh keys ---------------------------------------------------------------- */

#define PRESHARED "Open = tcp/22\nPresharedKey = BQUFAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"

static void an_ssh_key_is_read(void **state)
{
    static const uint8_t preshared[KEY_SIZE] = {5, 5, 5};
    const struct signer *signer;
    const struct profile *p;
    uint8_t key[KEY_SIZE];
    struct ssh_key parsed;
    struct error why;
    struct config *c;

    (void)state;
    write_profile_of("alice", PLAIN_LINE " me", PRESHARED);
    write_profile("bob", 1, "Open = tcp/22\n");
    c = load();
    p = config_find_profile(c, "alice");
    signer = &p->policy->signer;
    assert_int_equal(signer->form, SIGNER_SSH);
    assert_int_equal(signer->required, 0);
    assert_string_equal(p->ssh_key, PLAIN_LINE " me");
    assert_true(ssh_key_parse(&parsed, PLAIN_LINE, &why));
    assert_memory_equal(signer->public_key, parsed.public_key, KEY_SIZE);
    envelope_key_of_preshared(key, preshared, parsed.public_key, c->server_public);
    assert_memory_equal(p->envelope_key, key, KEY_SIZE);
    assert_null(config_find_profile(c, "bob")->ssh_key);
    config_free(c);
}

static void a_security_key_is_touched_unless_told_otherwise(void **state)
{
    static const struct { const char *line; uint8_t required; } cases[] = {
        {"", 1}, {"Require = touch\n", 1}, {"Require = pin\n", 5}, {"Require = none\n", 0}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char rest[256];
        struct config *c;

        snprintf(rest, sizeof rest, "%s" PRESHARED, cases[i].line);
        write_profile_of("alice", SECURITY_LINE, rest);
        c = load();
        assert_int_equal(c->profiles[0].policy->signer.form, SIGNER_SECURITY_KEY);
        assert_int_equal(c->profiles[0].policy->signer.required, cases[i].required);
        assert_false(sodium_is_zero(c->profiles[0].policy->signer.application, 32));
        config_free(c);
    }
    /* The line Require may come first. */
    scratch_write_text(PROFILES "/alice.conf", 0600, "[Profile]\nRequire = pin\nPublicKey = "
                                                     SECURITY_LINE "\n" PRESHARED);
    struct config *c = load();
    assert_int_equal(c->profiles[0].policy->signer.required, 5);
    config_free(c);
}

static void wrong_ssh_keys_are_refused(void **state)
{
    static const struct { const char *key, *rest, *says; } cases[] = {
        {PLAIN_LINE, "Open = tcp/22\n", "/alice.conf: the PublicKey is an ssh key, and so a line "
                                        "'PresharedKey = ...' is needed"},
        {ECDSA_LINE, PRESHARED, "/alice.conf:2: PublicKey: a key of type ecdsa-sha2-nistp256 cannot "
                                "knock: take a key of ssh-keygen -t ed25519"},
        {"ssh-rsa AAAA", PRESHARED, "/alice.conf:2: PublicKey: a key of type ssh-rsa cannot knock"},
        {"ssh-ed25519-cert-v01@openssh.com AAAA", PRESHARED,
         "/alice.conf:2: PublicKey: ssh-ed25519-cert-v01@openssh.com is a certificate"},
        {"ssh-ed25519 AAAA", PRESHARED, "/alice.conf:2: PublicKey: the base64 of the ssh key is"},
        {PLAIN_LINE, "Require = touch\n" PRESHARED, "/alice.conf:3: Require: Require is for a"},
        {SECURITY_LINE, "Require = finger\n" PRESHARED,
         "/alice.conf:3: Require: expected touch, pin or none, not 'finger'"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_profile_of("alice", cases[i].key, cases[i].rest);
        assert_load_refused(cases[i].says);
    }
    scratch_write_text(PROFILES "/alice.conf", 0600, "[Profile]\nRequire = pin\nPublicKey = "
                                                     PLAIN_LINE "\n" PRESHARED);
    assert_load_refused("/alice.conf:3: PublicKey: Require is for a");
}

/* Two own keys may share one, as ever. */
static void an_ssh_key_shares_no_preshared_key(void **state)
{
    (void)state;
    write_profile("alice", 1, PRESHARED);
    write_profile("bob", 2, PRESHARED);
    config_free(load());
    write_profile_of("carol", PLAIN_LINE, PRESHARED);
    assert_load_refused("PresharedKey: ");
    assert_load_refused("/carol.conf has the same");
    assert_int_equal(unlink(PROFILES "/alice.conf"), 0);
    assert_load_refused("/bob.conf: PresharedKey: ");
    assert_int_equal(unlink(PROFILES "/bob.conf"), 0);
    config_free(load());
}

/* ---- printing --------------------------------------------------------------- */

/* What config_print says, to be freed. */
static char *printed(const struct config *c)
{
    enum { SIZE = 16384 };
    char *text = calloc(1, SIZE);
    FILE *out = fmemopen(text, SIZE, "w");

    assert_non_null(out);
    config_print(c, out);
    assert_false(ferror(out));
    assert_int_equal(fclose(out), 0);
    return text;
}

static void each_profile_keeps_its_own_lists(void **state)
{
    static const char *const lists[][2] = {
        {"alice", "Open = tcp/22\nOpen = tcp/2222 -> 192.168.1.10:22\nWindow = 30s\nMaxWindow = 10m\n"
                  "Address = any 192.0.2.0/24\nPort = 4000\nExpires = 2027-01-31\n"},
        {"bob", "Open = tcp/80 udp/53\nWindow = 30s\nMaxWindow = 10m\n"
                "Address = any 198.51.100.0/24 203.0.113.0/24\nPort = 4000\n"
                "MaxGrants = 7\nConnections = 2\n"},
        {"carol", "Open = tcp/443\nWindow = 30s\nMaxWindow = 10m\nAddress = any\n"
                  "Port = 4000\n"},
    };
    struct config *c;
    char *text;

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(lists); i++)
        write_profile(lists[i][0], i, lists[i][1]);
    c = load();
    text = printed(c);
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        assert_non_null(strstr(text, lists[i][1]));
    free(text);
    config_free(c);
}

static void each_back_end_has_a_word(void **state)
{
    static const struct {
        const char *word;
        enum backend backend;
    } words[] = {
        {"auto", BACKEND_AUTO},
        {"iptables-nft", BACKEND_NFT},
        {"iptables-legacy", BACKEND_LEGACY},
        {"nftables", BACKEND_NFTABLES},
        {"nft", BACKEND_NFT},
        {"legacy", BACKEND_LEGACY},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        char line[64];
        struct config *c;
        char *text;

        snprintf(line, sizeof line, "Backend = %s\n", words[i].word);
        write_main(line);
        c = load();
        assert_int_equal(c->backend, words[i].backend);
        assert_int_equal(c->backend_in_use, words[i].backend);
        text = printed(c);
        snprintf(line, sizeof line, "\nBackend = %s\n", backend_name(words[i].backend));
        assert_non_null(strstr(text, line));
        free(text);
        config_free(c);
    }
}

/* The words of earlier releases in all files, and the note on each. */
static void old_words_are_taken_with_a_note(void **state)
{
    struct config *c;
    char *text;

    (void)state;
    write_main("Backend = nft\nClose = tcp/22\nCloseWith = reset\n");
    write_profile("alice", 1, "Open = tcp/22\nAddress = observed 192.0.2.0/24\n");
    c = load();
    assert_int_equal(c->notes.count, 4);
    assert_string_equal(c->notes.first[1].advice, "write Shut");
    assert_string_equal(c->notes.first[3].advice, "write Address = any");
    assert_non_null(strstr(c->notes.first[3].what, "/alice.conf:4: Address = observed is the old"));
    text = printed(c);
    assert_non_null(strstr(text, "\nBackend = iptables-nft\nShut = tcp/22\nShutWith = reset\n"));
    assert_non_null(strstr(text, "\nAddress = any 192.0.2.0/24\n"));
    free(text);
    config_free(c);
}

/* Everything before the first profile, written back, says the same again. */
static void what_is_printed_can_be_read_back(void **state)
{
    char *first, *again, *end, rest[3000];
    struct config *c;
    int used = 0;

    (void)state;
    /* Enough of them for lines that would be too long. */
    for (unsigned i = 0; i < CONFIG_INTERFACES; i++)
        used += snprintf(rest + used, sizeof rest - (size_t)used, "Interface = interface-%05u\n", i);
    for (unsigned i = 0; i < SHUT_SERVICES; i++)
        used += snprintf(rest + used, sizeof rest - (size_t)used, "Shut = tcp/%u\n", 10000 + i);
    snprintf(rest + used, sizeof rest - (size_t)used,
             "Backend = iptables-nft\nShutWith = reset\nForward = no\nMaxSkew = off\nWindow = 90s\nMaxWindow = 1d\n"
             "GrantStore = set\nMaxGrants = 7\nTransports = icmp tcp-syn\n");
    write_main(rest);
    write_profile("alice", 1, "Open = tcp/22\nAddress = signed 10.0.0.0/8\nExpires = 2027-01-31\n");
    c = load();
    first = printed(c);
    config_free(c);
    end = strstr(first, "\n\n#");
    assert_non_null(end);
    scratch_write(MAIN, 0644, first, (size_t)(end + 1 - first));
    assert_non_null(strstr(end, "/alice.conf, key id "));
    scratch_write_text(PROFILES "/alice.conf", 0600, end);
    c = load();
    again = printed(c);
    config_free(c);
    assert_string_equal(again, first);
    free(again);
    free(first);
}

static void no_secret_is_printed(void **state)
{
    char rest[128], preshared[KEY_TEXT_SIZE], server[KEY_TEXT_SIZE];
    struct config *c;
    char *text;

    (void)state;
    client_key(9, preshared);
    snprintf(rest, sizeof rest, "Open = tcp/22\nPresharedKey = %s\n", preshared);
    write_profile("alice", 1, rest);
    c = load();
    text = printed(c);
    assert_null(strstr(text, preshared));
    assert_null(strstr(text, key_format(server_secret, server)));
    assert_non_null(strstr(text, "# PresharedKey is set and not shown"));
    assert_non_null(strstr(text, key_format(c->server_public, server)));
    free(text);
    config_free(c);
}

/* ---- pidfile ---------------------------------------------------------------- */

/* In a child: locks are between processes. Its exit status says what it saw. */
static int in_child(int (*look)(pid_t parent))
{
    pid_t parent = getpid(), child = fork();
    int status = -1;

    if (child == 0)
        child_exit(look(parent));
    assert_int_equal(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

static int sees_owner(pid_t parent)
{
    return pidfile_owner(".") == parent ? 0 : 1;
}

static int sees_nobody(pid_t parent)
{
    (void)parent;
    return pidfile_owner(".") == 0 ? 0 : 1;
}

static int is_refused(pid_t parent)
{
    char expected[64];
    struct error why = {""};

    snprintf(expected, sizeof expected, "already running as pid %d", (int)parent);
    return pidfile_create(".", &why) == -1 && strcmp(why.text, expected) == 0 ? 0 : 1;
}

static void the_pidfile_is_held_by_one(void **state)
{
    char expected[16], text[16] = "";
    struct error why;
    struct stat s;
    int fd, file;

    (void)state;
    scratch_write_text("portsmithd.pid", 0600, "1234567890\n"); /* of one that died */
    assert_int_equal(in_child(sees_nobody), 0);
    fd = pidfile_create(".", &why);
    assert_true(fd >= 0);
    assert_int_equal(in_child(sees_owner), 0);
    assert_int_equal(in_child(is_refused), 0);
    snprintf(expected, sizeof expected, "%d\n", (int)getpid());
    assert_int_equal(pread(fd, text, sizeof text - 1, 0), strlen(expected));
    assert_string_equal(text, expected);
    close(fd);
    assert_int_equal(in_child(sees_nobody), 0);
    unlink("portsmithd.pid");
    file = pidfile_create(".", &why);
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    close(file);
}

static void a_pidfile_needs_its_directory(void **state)
{
    struct error why;

    (void)state;
    assert_int_equal(pidfile_create("missing", &why), -1);
    assert_says(&why, "missing/portsmithd.pid: No such file or directory");
    assert_int_equal(pidfile_owner("missing"), 0);
}

#define SCRATCH(test) cmocka_unit_test_setup_teardown(test, enter, scratch_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH(left_out_keys_have_defaults),
        SCRATCH(every_key_is_read),
        SCRATCH(a_mark_is_decimal_or_hexadecimal),
        SCRATCH(each_back_end_has_a_word),
        SCRATCH(old_words_are_taken_with_a_note),
        SCRATCH(wrong_mains_are_refused),
        SCRATCH(a_missing_main_points_to_init),
        SCRATCH(the_user_must_be_there_and_not_be_root),
        SCRATCH(the_profile_directory_must_be_safe),
        SCRATCH(the_profile_directory_must_exist),
        SCRATCH(the_server_key_must_be_there_and_good),
        SCRATCH(other_files_are_ignored_and_bad_names_refused),
        cmocka_unit_test(names_are_checked),
        SCRATCH(profiles_take_defaults_from_the_configuration),
        SCRATCH(every_profile_key_is_read),
        SCRATCH(each_profile_keeps_its_own_lists),
        SCRATCH(wrong_profiles_are_refused),
        SCRATCH(unusable_public_keys_are_refused),
        SCRATCH(all_services_of_a_profile_must_fit),
        SCRATCH(removed_profiles_can_be_forgotten),
        SCRATCH(profile_files_must_be_safe),
        SCRATCH(two_profiles_with_one_key_are_refused),
        SCRATCH(knock_ports_are_collected_up_to_the_limit),
        SCRATCH(profiles_are_sorted_by_name),
        SCRATCH(envelope_keys_are_those_of_the_client),
        SCRATCH(an_ssh_key_is_read),
        SCRATCH(a_security_key_is_touched_unless_told_otherwise),
        SCRATCH(wrong_ssh_keys_are_refused),
        SCRATCH(an_ssh_key_shares_no_preshared_key),
        SCRATCH(what_is_printed_can_be_read_back),
        SCRATCH(no_secret_is_printed),
        SCRATCH(the_pidfile_is_held_by_one),
        SCRATCH(a_pidfile_needs_its_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
