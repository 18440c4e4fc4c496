#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <sys/wait.h>

#include "client/bundle.h"
#include "client/compose.h"
#include "client/counter.h"
#include "client/failure.h"
#include "client/identity.h"
#include "client/paths.h"
#include "client/resolve.h"
#include "client/send.h"
#include "client/server.h"
#include "client/sign.h"
#include "client/source.h"
#include "client/target.h"
#include "common/text/keys.h"
#include "agentstub.h"
#include "people.h"

enum { MINUTE = 60 * 1000000 };
static const uint64_t now = UINT64_C(1800000000000000);

/* ---- counter ---------------------------------------------------------------- */

static uint64_t take_one(uint64_t at, bool warned)
{
    struct error warning, why;
    uint64_t counter;

    if (!counter_take("state", at, 1, &counter, &warning, &why))
        fail_msg("not taken: %s", why.text);
    assert_int_equal(warning.text[0] != '\0', warned);
    return counter;
}

static void keep_counter(const char *text)
{
    mkdir("state", 0700);
    scratch_write_text("state/counter", 0600, text);
}

static void first_counter_is_the_clock(void **state)
{
    struct stat s;

    (void)state;
    assert_int_equal(take_one(now, false), now);
    assert_int_equal(stat("state", &s), 0);
    assert_int_equal(s.st_mode & 07777, 0700);
    assert_int_equal(stat("state/counter", &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
}

static void counters_follow_the_clock_or_the_last(void **state)
{
    (void)state;
    assert_int_equal(take_one(now, false), now);
    assert_int_equal(take_one(now, false), now + 1);
    assert_int_equal(take_one(now + 1, false), now + 2);
    assert_int_equal(take_one(now + MINUTE, false), now + MINUTE);
    assert_int_equal(take_one(now + 1000 * (uint64_t)MINUTE, false), now + 1000 * (uint64_t)MINUTE);
}

static void several_counters_are_taken_at_once(void **state)
{
    struct error warning, why;
    uint64_t first;

    (void)state;
    assert_true(counter_take("state", now, 16, &first, &warning, &why));
    assert_int_equal(first, now);
    assert_int_equal(take_one(now, false), now + 16);
}

static void clock_set_back_a_little_is_outrun(void **state)
{
    (void)state;
    take_one(now, false);
    assert_int_equal(take_one(now - COUNTER_SKEW, false), now + 1);
}

static void clock_set_back_far_is_followed_with_a_warning(void **state)
{
    (void)state;
    take_one(now, false);
    assert_int_equal(take_one(now - COUNTER_SKEW - 1, true), now - COUNTER_SKEW - 1);
    assert_int_equal(take_one(now - COUNTER_SKEW - 1, false), now - COUNTER_SKEW);
}

static void damaged_counters_are_replaced_with_a_warning(void **state)
{
    static const char *const damaged[] = {
        "x", "1", "1800000000000000\n", "0000180000000000000x\n", "00001800000000000000 ",
        "00001800000000000000\n\n", "99999999999999999999\n", "-0001800000000000000\n",
        "a file that was meant for something else entirely\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(damaged); i++) {
        keep_counter(damaged[i]);
        assert_int_equal(take_one(now, true), now);
        assert_int_equal(take_one(now, false), now + 1);
    }
}

static void empty_counter_file_is_a_new_one(void **state)
{
    (void)state;
    keep_counter("");
    assert_int_equal(take_one(now, false), now);
}

static void greatest_counter_does_not_wrap(void **state)
{
    (void)state;
    keep_counter("18446744073709551615\n");
    assert_int_equal(take_one(now, true), now);
}

static void counters_that_cannot_be_kept_are_not_given(void **state)
{
    struct error warning, why;
    uint64_t counter;

    (void)state;
    assert_int_equal(mkdir("state", 0700), 0);
    assert_int_equal(mkdir("state/counter", 0700), 0);
    assert_false(counter_take("state", now, 1, &counter, &warning, &why));
    assert_non_null(strstr(why.text, "state/counter: Is a directory"));
    assert_null(strstr(why.text, "XDG_STATE_HOME")); /* of which the library knows nothing */
    assert_int_equal(rmdir("state/counter"), 0);
    scratch_write_text("elsewhere", 0600, "");
    assert_int_equal(symlink("../elsewhere", "state/counter"), 0);
    assert_false(counter_take("state", now, 1, &counter, &warning, &why));
    scratch_write_text("plain", 0600, "");
    assert_false(counter_take("plain", now, 1, &counter, &warning, &why));
    assert_false(counter_take("/dev/full/state", now, 1, &counter, &warning, &why));
}

enum { PROCESSES = 12, ROUNDS = 25, BATCH = 3 };

static void take_many(int out)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct error warning, why;
        uint64_t first;

        if (!counter_take("state", now, BATCH, &first, &warning, &why) ||
            write(out, &first, sizeof first) != sizeof first)
            child_exit(1);
    }
    child_exit(0);
}

static int compare_counters(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void parallel_knocks_never_share_a_counter(void **state)
{
    uint64_t taken[PROCESSES * ROUNDS];
    int channel[2], status;

    (void)state;
    assert_int_equal(pipe(channel), 0);
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
            take_many(channel[1]);
    }
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        assert_int_equal(read(channel[0], &taken[i], sizeof taken[i]), sizeof taken[i]);
    for (int i = 0; i < PROCESSES; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    close(channel[0]);
    close(channel[1]);
    qsort(taken, COUNT_OF(taken), sizeof *taken, compare_counters);
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        assert_int_equal(taken[i], now + i * BATCH);
}

/* ---- identity ----------------------------------------------------------------- */

static void identity_is_made_once_and_read_back(void **state)
{
    uint8_t public_key[KEY_SIZE], other[KEY_SIZE], point[KEY_SIZE];
    struct identity *identity;
    struct error why;

    (void)state;
    assert_true(identity_create("identity", public_key, &why));
    assert_false(identity_create("identity", other, &why));
    assert_non_null(strstr(why.text, "never overwritten"));
    identity = identity_read("identity", &why);
    assert_non_null(identity);
    assert_memory_equal(identity->public_key, public_key, KEY_SIZE);
    assert_memory_equal(identity->signing + KEY_SIZE, public_key, KEY_SIZE);
    assert_true(key_convert_public(point, public_key));
    identity_free(identity);
}

static void assert_identity_refused(const char *expected)
{
    struct error why;

    assert_null(identity_read("identity", &why));
    if (!strstr(why.text, expected))
        fail_msg("'%s' does not say '%s'", why.text, expected);
}

static void unusable_identities_are_refused(void **state)
{
    uint8_t public_key[KEY_SIZE];
    struct error why;

    (void)state;
    assert_identity_refused("portsmith-knock keygen");
    assert_true(identity_create("identity", public_key, &why));
    assert_int_equal(chmod("identity", 0640), 0);
    assert_identity_refused("chmod 600 identity");
    scratch_write_text("identity", 0600, "rubbish\n");
    errno = ENOENT; /* left over from something else: must not mislead */
    assert_identity_refused("identity:1: not a key");
}

/* ---- server files --------------------------------------------------------------- */

/* An X25519 public key, and an Ed25519 seed, in base64. */
#define SERVER_KEY "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
#define SEED "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define PRESHARED "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="
#define MINIMAL "[Server]\nHost = bastion.example.net\nPort = 62201\nPublicKey = " SERVER_KEY "\n"

static struct server *read_text(const char *text, mode_t mode, struct error *why)
{
    struct server *server = server_new(why);

    assert_non_null(server);
    scratch_write_text("bastion.conf", mode, text);
    if (server_read(server, "bastion.conf", why))
        return server;
    server_free(server);
    return NULL;
}

static struct server *assert_read(const char *text)
{
    struct error why;
    struct server *server = read_text(text, 0600, &why);

    if (!server)
        fail_msg("refused: %s", why.text);
    return server;
}

static void minimal_server_file_has_defaults(void **state)
{
    struct server *s = assert_read(MINIMAL);
    char text[KEY_TEXT_SIZE];

    (void)state;
    assert_string_equal(s->host, "bastion.example.net");
    assert_int_equal(s->port, 62201);
    assert_string_equal(key_format(s->public_key, text), SERVER_KEY);
    assert_int_equal(s->service_count, 0);
    assert_int_equal(s->window, 0);
    assert_int_equal(s->address.source, ADDRESS_AUTO);
    assert_string_equal(s->identity, "./identity");
    assert_false(s->has_preshared);
    assert_int_equal(s->transport, TRANSPORT_UDP);
    server_free(s);
}

static void full_server_file_is_read(void **state)
{
    struct server *s = assert_read(MINIMAL "Service = tcp/443 tcp/22\nService = udp/53, tcp/22\n"
                                           "Window = 10m\nAddress = 198.51.100.7\n"
                                           "Transport = icmp\n"
                                           "Identity = /keys/mine\nPresharedKey = " PRESHARED "\n");
    char text[ADDRESS_TEXT_SIZE];

    (void)state;
    assert_int_equal(s->service_count, 3);
    assert_int_equal(s->services[0].port, 22);
    assert_int_equal(s->services[1].port, 443);
    assert_int_equal(s->services[2].protocol, IPPROTO_UDP);
    assert_int_equal(s->window, 600);
    assert_int_equal(s->transport, TRANSPORT_ICMP);
    assert_int_equal(s->address.source, ADDRESS_GIVEN);
    assert_string_equal(address_format(&s->address.given, text), "198.51.100.7");
    assert_string_equal(s->identity, "/keys/mine");
    assert_true(s->has_preshared);
    assert_memory_equal(s->preshared, "abcdefghijklmnopqrstuvwxyzabcdef", KEY_SIZE);
    server_free(s);
}

static void a_group_has_members(void **state)
{
    struct server *s = assert_read(MINIMAL "Member = 127.0.0.1, ::1\nMember = 127.0.0.2\n");
    struct target targets[TARGETS_MAX];
    uint8_t id[MEMBER_SIZE];
    struct request r;
    struct error why;

    (void)state;
    assert_int_equal(s->member_count, 3);
    assert_int_equal(resolve_server(targets, s, AF_UNSPEC, &why), 3);
    assert_string_equal(why.text, "");
    member_id(id, "127.0.0.2");
    assert_memory_equal(targets[2].member, id, MEMBER_SIZE);
    assert_int_equal(target_port(&targets[2]), s->port);
    assert_int_equal(resolve_server(targets, s, AF_INET, &why), 2);
    assert_non_null(strstr(why.text, "::1: no IPv4 address found"));
    assert_memory_equal(targets[1].member, id, MEMBER_SIZE);
    r = knock_request(s, ACTION_OPEN);
    assert_false(knock_name_member(&r, s, &why));
    assert_non_null(strstr(why.text, "names 3"));
    r.has_address = true;
    assert_true(knock_name_member(&r, s, &why));
    assert_false(request_names_member(&r));
    r.has_address = false;
    s->member_count = 1;
    assert_true(knock_name_member(&r, s, &why));
    member_id(id, "127.0.0.1");
    assert_memory_equal(r.member, id, MEMBER_SIZE);
    s->member_count = 0;
    strcpy(s->host, "127.0.0.1");
    assert_int_equal(resolve_server(targets, s, AF_UNSPEC, &why), 1);
    assert_true(sodium_is_zero(targets[0].member, MEMBER_SIZE));
    server_free(s);
}

static void a_router_may_map_ports(void **state)
{
    struct server *s = assert_read(MINIMAL "Service = tcp/22 udp/53 tcp/80\n"
                                           "ConnectPort = tcp/22 2222\nConnectPort=tcp/2222\t 3333\n");
    struct service doors[REQUEST_SERVICES];

    (void)state;
    assert_int_equal(server_connect_port(s, 22), 2222);
    assert_int_equal(server_connect_port(s, 80), 80);
    assert_int_equal(server_service_port(s, 22), 22);
    assert_int_equal(server_service_port(s, 2222), 2222); /* is a service first of all */
    assert_int_equal(server_service_port(s, 3333), 2222);
    assert_int_equal(server_service_port(s, 80), 80);
    assert_int_equal(server_doors(s, doors), 2);
    assert_int_equal(doors[0].port, 2222);
    assert_int_equal(doors[1].port, 80);
    server_free(s);
}

/* Made by ssh-keygen. */
#define SSH_KEY                                                                                    \
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHkpE2cBm+H+RMnmFfuDjMlSZY6LNWfSNvKLC/s+Twiw alice"
#define WITH_SSH_KEY "SSHKey = " SSH_KEY "\nPresharedKey = " PRESHARED "\n"

static void a_server_may_know_an_ssh_key(void **state)
{
    struct server *s = assert_read(MINIMAL WITH_SSH_KEY);
    char text[SERVER_TEXT_SIZE], line[SSH_KEY_LINE_SIZE];

    (void)state;
    assert_true(s->has_ssh_key);
    assert_string_equal(ssh_key_format(&s->ssh_key, line), SSH_KEY);
    assert_string_equal(s->identity, "");
    assert_string_equal(s->agent, "");
    server_format(s, text);
    assert_non_null(strstr(text, "\nSSHKey = " SSH_KEY "\n"));
    server_free(s);
}

static void assert_placed(const char *line, const char *expected)
{
    char text[600];
    struct server *s;

    snprintf(text, sizeof text, MINIMAL "%s", line);
    s = assert_read(text);
    assert_string_equal(s->has_ssh_key ? s->agent : s->identity, expected);
    server_free(s);
}

static void paths_begin_at_the_home_directory_or_at_the_file(void **state)
{
    char *home = *state, expected[PATH_MAX];

    setenv("HOME", home, 1);
    snprintf(expected, sizeof expected, "%s/.ssh/agent", home);
    assert_placed(WITH_SSH_KEY "IdentityAgent = /run/agent\n", "/run/agent");
    assert_placed(WITH_SSH_KEY "IdentityAgent = agent\n", "./agent");
    assert_placed(WITH_SSH_KEY "IdentityAgent = SSH_AUTH_SOCK\n", "SSH_AUTH_SOCK");
    assert_placed("Identity = ~other/key\n", "./~other/key");
    assert_placed(WITH_SSH_KEY "IdentityAgent = ~/.ssh/agent\n", "~/.ssh/agent");
    assert_placed("Identity = ~/.ssh/agent\n", expected);
}

static void identity_is_relative_to_the_file(void **state)
{
    struct error why;
    struct server *s = server_new(&why);

    (void)state;
    assert_int_equal(mkdir("etc", 0700), 0);
    scratch_write_text("etc/a.conf", 0644, MINIMAL "Identity = keys/a.key\n");
    assert_true(server_read(s, "etc/a.conf", &why));
    assert_string_equal(s->identity, "etc/keys/a.key");
    server_free(s);
}

static void mistakes_are_named_with_file_and_line(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", "bastion.conf: Host is missing from [Server]"},
        {"[Server]\nHost = a\n", "bastion.conf: Port is missing from [Server]"},
        {"[Server]\nHost = a\nPort = 1\n", "bastion.conf: PublicKey is missing from [Server]"},
        {"[Bundle]\nHost = a\n", "bastion.conf:1: expected the section [Server], not [Bundle]"},
        {MINIMAL "Colour = red\n", "bastion.conf:5: unknown key 'Colour'"},
        {MINIMAL "Host = b\n", "bastion.conf:5: Host is given a second time"},
        {MINIMAL "Service = tcp/0\n", "bastion.conf:5: Service: '0' is not a port number"},
        {MINIMAL "Service = ssh\n", "bastion.conf:5: Service: 'ssh' is not a service"},
        {MINIMAL "Service =\n", "bastion.conf:5: Service: expected a value"},
        {MINIMAL "Service = tcp/1 tcp/2\nService = tcp/3 tcp/4 tcp/5\n",
         "bastion.conf:6: Service: a knock can name 4 services at most"},
        {MINIMAL "Member = a/b\n", "bastion.conf:5: Member: 'a/b' is not a host name or an IP"},
        {MINIMAL "Member = 224.0.0.1\n", "bastion.conf:5: Member: 224.0.0.1 is no address that a"},
        {MINIMAL "Member = a b\nMember = c A\n", "bastion.conf:6: Member: A is a member already"},
        {MINIMAL "Member = a b c d e f g h i\n", "bastion.conf:5: Member: a group has 8 members at"},
        {MINIMAL "ConnectPort = 2222\n",
         "bastion.conf:5: ConnectPort: expected a service and the port to connect to, such as "
         "tcp/22 2222"},
        {MINIMAL "ConnectPort = ssh 2222\n", "bastion.conf:5: ConnectPort: 'ssh' is not a service"},
        {MINIMAL "ConnectPort = tcp/22 0\n", "bastion.conf:5: ConnectPort: '0' is not a port"},
        {MINIMAL "ConnectPort = tcp/22 1 2\n", "bastion.conf:5: ConnectPort: '1 2' is not a port"},
        {MINIMAL "ConnectPort = udp/53 5353\n", "bastion.conf:5: ConnectPort: 'udp/53' is not TCP"},
        {MINIMAL "ConnectPort = tcp/1 2\nConnectPort = tcp/1 3\n",
         "bastion.conf:6: ConnectPort: tcp/1 has one already"},
        {MINIMAL "ConnectPort = tcp/1 9\nConnectPort = tcp/2 9\n",
         "bastion.conf:6: ConnectPort: 9 leads to tcp/1 already"},
        {MINIMAL "ConnectPort = tcp/1 11\nConnectPort = tcp/2 12\nConnectPort = tcp/3 13\n"
                 "ConnectPort = tcp/4 14\nConnectPort = tcp/5 15\n",
         "bastion.conf:9: ConnectPort: 4 at most"},
        {MINIMAL "Window = 0\n", "bastion.conf:5: Window: '0' is out of range"},
        {MINIMAL "Transport = tcp\n",
         "bastion.conf:5: Transport: expected udp, tcp-syn or icmp, not 'tcp'"},
        {MINIMAL "Address = here\n", "bastion.conf:5: Address: 'here' is not auto, observed or"},
        {MINIMAL "Address = 127.0.0.1\n", "bastion.conf:5: Address: no server opens a port to"},
        {MINIMAL "Address = fe80::1\n", "bastion.conf:5: Address: no server opens a port to "
                                        "'fe80::1', which is link-local"},
        {"[Server]\nHost = 224.0.0.1\n", "bastion.conf:2: Host: 224.0.0.1 is no address that a "
                                          "server can have"},
        {"[Server]\nHost = 0.0.0.0\n", "bastion.conf:2: Host: 0.0.0.0 is no address"},
        {"[Server]\nHost = fe80::1%eth0\n", "bastion.conf:2: Host: fe80::1%eth0 is link-local"},
        {MINIMAL "Identity =\n", "bastion.conf:5: Identity: expected the path"},
        {MINIMAL "PresharedKey = short\n", "bastion.conf:5: PresharedKey: not a key"},
        {MINIMAL "SSHKey = " SSH_KEY "\n",
         "bastion.conf: SSHKey needs PresharedKey, which is missing from [Server]"},
        {MINIMAL WITH_SSH_KEY "Identity = mine\n",
         "bastion.conf: SSHKey and Identity exclude each other"},
        {MINIMAL "IdentityAgent = /run/agent\n",
         "bastion.conf: IdentityAgent goes with SSHKey, which is missing from [Server]"},
        {MINIMAL WITH_SSH_KEY "IdentityAgent =\n",
         "bastion.conf:7: IdentityAgent: expected the path of an ssh-agent's socket"},
        {MINIMAL "SSHKey = ssh-rsa AAAA\n",
         "bastion.conf:5: SSHKey: a key of type ssh-rsa cannot knock"},
        {MINIMAL "SSHKey = ssh-ed25519 AAAA\n",
         "bastion.conf:5: SSHKey: the base64 of the ssh key is damaged"},
        {"[Server]\nHost = two words\n", "bastion.conf:2: Host: 'two words' is not a host name"},
        {"[Server]\nHost = -x\n", "bastion.conf:2: Host: '-x' is not a host name"},
        {"[Server]\nHost =\n", "bastion.conf:2: Host: '' is not a host name"},
        {"[Server]\nPort = 65536\n", "bastion.conf:2: Port: '65536' is not a port number"},
        {"[Server]\nPublicKey = AAAA\n", "bastion.conf:2: PublicKey: not a key"},
        {"[Server]\nPublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
         "bastion.conf:2: PublicKey: not a usable public key"},
    };
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_null(read_text(cases[i].text, 0600, &why));
        if (strncmp(why.text, cases[i].expected, strlen(cases[i].expected)) != 0)
            fail_msg("'%s' does not begin with '%s'", why.text, cases[i].expected);
        assert_int_not_equal(errno, ENOENT);
    }
}

static void missing_server_file_is_told_apart(void **state)
{
    struct error why;
    struct server *s = server_new(&why);

    (void)state;
    assert_false(server_read(s, "nowhere.conf", &why));
    assert_int_equal(errno, ENOENT);
    server_free(s);
}

static void loose_server_files_are_refused(void **state)
{
    struct error why;
    struct server *s = read_text(MINIMAL, 0644, &why);

    (void)state;
    assert_non_null(s); /* nothing secret in it */
    server_free(s);
    assert_null(read_text(MINIMAL, 0664, &why));
    assert_non_null(strstr(why.text, "chmod go-w bastion.conf"));
    assert_null(read_text(MINIMAL "PresharedKey = " PRESHARED "\n", 0640, &why));
    assert_non_null(strstr(why.text, "chmod 600 bastion.conf"));
}

static void server_names_are_file_names(void **state)
{
    static const char *const good[] = {"bastion", "a", "Web-01", "host.example.net", "x_1", "a--b"};
    static const char *const bad[] = {"", ".", "..", ".hidden", "-v", "a/b", "tcp/22", "a b", "a\n",
                                      "caf\xc3\xa9", "_x"};
    char name[SERVER_NAME_SIZE + 1];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(server_name_is_valid(good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(server_name_is_valid(bad[i]));
    memset(name, 'a', sizeof name);
    name[SERVER_NAME_SIZE] = '\0';
    assert_false(server_name_is_valid(name));
    name[SERVER_NAME_SIZE - 1] = '\0';
    assert_true(server_name_is_valid(name));
}

/* ---- bundles ---------------------------------------------------------------------- */

#define BUNDLE                                                                                     \
    "[Bundle]\nName = bastion\nHost = bastion.example.net\nPort = 62201\nPublicKey = " SERVER_KEY   \
    "\nPrivateKey = " SEED "\n"

static bool unpack(const char *text, struct error *why)
{
    char key[PATH_MAX], conf[PATH_MAX];
    struct bundle *bundle;
    bool done;

    scratch_write_text("bundle", 0600, text);
    bundle = bundle_read("bundle", why);
    if (!bundle)
        return false;
    done = bundle_unpack(bundle, "config", key, conf, why);
    bundle_free(bundle);
    if (done) {
        assert_string_equal(key, "config/bastion.key");
        assert_string_equal(conf, "config/bastion.conf");
    }
    return done;
}

static struct server *assert_unpacked(const char *text)
{
    struct error why;
    struct server *server = server_new(&why);
    struct stat s;

    if (!unpack(text, &why) || !server_read(server, "config/bastion.conf", &why))
        fail_msg("refused: %s", why.text);
    assert_int_equal(stat("config/bastion.conf", &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    assert_int_equal(stat("config/bastion.key", &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    return server;
}

static void the_old_word_for_service_is_taken_with_a_note(void **state)
{
    struct server *s = assert_read(MINIMAL "Open = tcp/22\nService = udp/53\n");

    (void)state;
    assert_int_equal(s->service_count, 2);
    assert_int_equal(s->notes.count, 1);
    assert_string_equal(s->notes.first[0].what,
                        "bastion.conf:5: Open is the old word for Service, and is still taken");
    server_free(s);
    s = assert_unpacked(BUNDLE "Open = tcp/22\n"); /* its file says Service */
    assert_int_equal(s->service_count, 1);
    assert_int_equal(s->notes.count, 0);
    server_free(s);
}

static void bundle_becomes_a_server_and_an_identity(void **state)
{
    struct server *s = assert_unpacked(BUNDLE "Service = udp/53 tcp/22\nService = tcp/443\n"
                                              "Transport = tcp-syn\n"
                                              "PresharedKey = " PRESHARED "\n");
    char text[KEY_TEXT_SIZE];
    uint8_t secret[KEY_SIZE];
    struct error why;

    (void)state;
    assert_string_equal(s->host, "bastion.example.net");
    assert_int_equal(s->port, 62201);
    assert_string_equal(key_format(s->public_key, text), SERVER_KEY);
    assert_int_equal(s->service_count, 3);
    assert_int_equal(s->services[1].port, 443);
    assert_int_equal(s->transport, TRANSPORT_TCP_SYN);
    assert_string_equal(key_format(s->preshared, text), PRESHARED);
    assert_string_equal(s->identity, "config/bastion.key");
    assert_true(key_file_read(s->identity, secret, &why));
    assert_string_equal(key_format(secret, text), SEED);
    server_free(s);
}

static void bundle_without_preshared_key_or_services(void **state)
{
    struct server *s = assert_unpacked(BUNDLE);

    (void)state;
    assert_false(s->has_preshared);
    assert_int_equal(s->service_count, 0);
    server_free(s);
}

static void bundle_with_many_services_asks_for_all(void **state)
{
    struct server *s =
        assert_unpacked(BUNDLE "Service = tcp/1 tcp/2 tcp/3 tcp/4\nService = tcp/5\n");

    (void)state;
    assert_int_equal(s->service_count, 0);
    server_free(s);
}

/* What is exported of what was imported, as text; `secret` with what is secret. */
static void export_again(char text[static BUNDLE_TEXT_SIZE], bool secret, bool has_identity)
{
    struct error why;
    struct server *server = server_new(&why);
    struct identity *identity = has_identity ? identity_read("config/bastion.key", &why) : NULL;
    struct bundle *bundle;
    size_t size;

    assert_true(server_read(server, "config/bastion.conf", &why));
    assert_true(!has_identity || identity);
    bundle = bundle_of_server("bastion", server, secret, identity, &why);
    assert_non_null(bundle);
    size = bundle_format(bundle, text);
    assert_int_equal(size, strlen(text));
    bundle_free(bundle);
    identity_free(identity);
    server_free(server);
}

static void longest_bundle_fits(void **state)
{
    char text[1200], again[BUNDLE_TEXT_SIZE], host[SERVER_HOST_SIZE];
    struct server *s;

    (void)state;
    memset(host, 'h', sizeof host);
    host[sizeof host - 1] = '\0';
    snprintf(text, sizeof text,
             "[Bundle]\nName=bastion\nHost=%s\nPort=65535\nPublicKey=" SERVER_KEY
             "\nPrivateKey=" SEED "\nTransport=tcp-syn\nPresharedKey=" PRESHARED
             "\nService=tcp/65532 tcp/65533 tcp/65534 tcp/65535\nWindow=604799"
             "\nConnectPort=tcp/65532 65532\nConnectPort=tcp/65533 65533"
             "\nConnectPort=tcp/65534 65534\nConnectPort=tcp/65535 65535"
             "\nAddress=2001:db8:1111:2222:3333:4444:5555:6666\n", host);
    s = assert_unpacked(text);
    assert_string_equal(s->host, host);
    assert_int_equal(s->window, 604799);
    server_free(s);
    export_again(again, true, true);
    assert_non_null(strstr(again, "PrivateKey = " SEED "\n"));
}

#define ALL_LINES                                                                                  \
    "Service = tcp/22 udp/53\nConnectPort = tcp/22 2222\nWindow = 90s\nAddress = 198.51.100.7\n"   \
    "PresharedKey = " PRESHARED "\n"

static void what_was_imported_is_exported_whole(void **state)
{
    char first[BUNDLE_TEXT_SIZE], second[BUNDLE_TEXT_SIZE];

    (void)state;
    server_free(assert_unpacked(BUNDLE "Member = a b\n" ALL_LINES));
    export_again(first, true, true);
    assert_non_null(strstr(first, ALL_LINES "PrivateKey = " SEED "\n"));
    assert_non_null(strstr(first, "Host = bastion.example.net\nMember = a\nMember = b\n"
                                  "Port = 62201\n"));
    assert_int_equal(unlink("config/bastion.conf") + unlink("config/bastion.key"), 0);
    server_free(assert_unpacked(first));
    export_again(second, true, true);
    assert_string_equal(first, second);
}

static void without_an_identity_no_secret_is_exported(void **state)
{
    char text[BUNDLE_TEXT_SIZE], key[PATH_MAX], conf[PATH_MAX];
    struct error why;
    struct bundle *bundle;
    struct server *s = server_new(&why);

    (void)state;
    server_free(assert_unpacked(BUNDLE ALL_LINES));
    export_again(text, false, false);
    assert_null(strstr(text, SEED));
    assert_null(strstr(text, PRESHARED));
    scratch_write_text("public", 0644, text); /* nobody need hide it */
    bundle = bundle_read("public", &why);
    assert_non_null(bundle);
    assert_true(bundle_unpack(bundle, "other", key, conf, &why));
    assert_int_equal(access("other/bastion.key", F_OK), -1);
    assert_true(server_read(s, "other/bastion.conf", &why));
    assert_string_equal(s->identity, "other/identity");
    assert_int_equal(s->window, 90);
    bundle_free(bundle);
    server_free(s);
}

#define AGENT_BUNDLE                                                                               \
    "[Bundle]\nName = bastion\nHost = bastion.example.net\nPort = 62201\nPublicKey = " SERVER_KEY   \
    "\n" WITH_SSH_KEY "IdentityAgent = ~/agent\n"

/* Where the agent is, is a matter of the machine. */
static void a_bundle_may_carry_an_ssh_key(void **state)
{
    char text[BUNDLE_TEXT_SIZE];
    struct error why;
    struct server *s = server_new(&why);

    (void)state;
    assert_done(unpack(AGENT_BUNDLE, &why), why);
    assert_int_equal(access("config/bastion.key", F_OK), -1);
    assert_done(server_read(s, "config/bastion.conf", &why), why);
    assert_true(s->has_ssh_key && s->has_preshared);
    assert_string_equal(s->ssh_key.comment, "alice");
    assert_string_equal(s->agent, "~/agent");
    export_again(text, true, false);
    assert_non_null(strstr(text, "SSHKey = " SSH_KEY "\n"));
    assert_non_null(strstr(text, "PresharedKey = " PRESHARED "\n"));
    assert_null(strstr(text, "IdentityAgent"));
    export_again(text, false, false);
    assert_null(strstr(text, "SSHKey"));
    assert_null(strstr(text, PRESHARED));
    server_free(s);
}

static void bundle_from_a_pipe_may_hold_secrets(void **state)
{
    struct bundle *bundle;
    struct error why;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], BUNDLE, strlen(BUNDLE)), strlen(BUNDLE));
    close(ends[1]);
    bundle = bundle_read_from(ends[0], "standard input", &why);
    assert_non_null(bundle);
    assert_true(bundle->has_secret);
    bundle_free(bundle);
    scratch_write_text("loose", 0644, BUNDLE);
    assert_null(bundle_read_from(open("loose", O_RDONLY), "standard input", &why));
    assert_non_null(strstr(why.text, "standard input: mode 0644 is too open"));
}

static void import_is_all_or_nothing(void **state)
{
    struct error why;

    (void)state;
    assert_int_equal(mkdir("config", 0700), 0);
    scratch_write_text("config/bastion.conf", 0600, "mine\n");
    assert_false(unpack(BUNDLE, &why));
    assert_non_null(strstr(why.text, "config/bastion.conf: exists already"));
    assert_int_equal(access("config/bastion.key", F_OK), -1);
    assert_int_equal(rename("config/bastion.conf", "config/bastion.key"), 0);
    assert_false(unpack(BUNDLE, &why));
    assert_non_null(strstr(why.text, "config/bastion.key: exists already"));
    assert_int_equal(access("config/bastion.conf", F_OK), -1);
    assert_int_equal(access("config/bastion.key", F_OK), 0);
}

static void wrong_bundles_are_refused(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"[Bundle]\n", "bundle: Name is missing from [Bundle]"},
        {"[Bundle]\nName = ../up\n", "bundle:2: Name: '../up' cannot be the name of a server"},
        {"[Bundle]\nName = a\nHost = b\nPort = 1\nPrivateKey = " SEED "\n",
         "bundle: PublicKey is missing from [Bundle]"},
        {BUNDLE "Service = tcp/x\n", "bundle:7: Service: 'x' is not a port number"},
        {BUNDLE "Window = soon\n", "bundle:7: Window: 'soon' is not a time span"},
        {BUNDLE WITH_SSH_KEY, "bundle: SSHKey and PrivateKey exclude each other"},
        {BUNDLE "Identity = x\n", "bundle:7: unknown key 'Identity'"},
        {"[Bundle]\nPrivateKey = abc\n", "bundle:2: PrivateKey: not a key"},
    };
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_false(unpack(cases[i].text, &why));
        if (strncmp(why.text, cases[i].expected, strlen(cases[i].expected)) != 0)
            fail_msg("'%s' does not begin with '%s'", why.text, cases[i].expected);
    }
    assert_int_equal(access("config", F_OK), -1);
    scratch_write_text("bundle", 0644, BUNDLE);
    assert_null(bundle_read("bundle", &why));
    assert_non_null(strstr(why.text, "chmod 600 bundle"));
}

/* ---- knocks ------------------------------------------------------------------------ */

struct both_ends {
    struct identity *identity;
    struct server *server;
    struct knocker *knocker;
    uint8_t envelope_key[KEY_SIZE]; /* the server's way to it */
};

static void meet(struct both_ends *b, const uint8_t *preshared)
{
    uint8_t secret[KEY_SIZE], unused[KEY_SIZE];
    struct error why;

    unlink("identity");
    assert_true(identity_create("identity", unused, &why));
    b->identity = identity_read("identity", &why);
    b->server = server_new(&why);
    randombytes_buf(secret, sizeof secret);
    assert_true(key_server_public(b->server->public_key, secret));
    if (preshared) {
        b->server->has_preshared = true;
        memcpy(b->server->preshared, preshared, KEY_SIZE);
    }
    b->knocker = knocker_new(b->identity, b->server, &why);
    assert_non_null(b->knocker);
    assert_true(server_makes_key(b->envelope_key, secret, b->identity->public_key,
                                       preshared));
}

static void part(struct both_ends *b)
{
    knocker_free(b->knocker);
    server_free(b->server);
    identity_free(b->identity);
}

static size_t knock_make(uint8_t datagram[static DATAGRAM_MAX], struct knocker *knocker,
                         const struct request *request)
{
    struct request r = *request;
    struct signature signature;
    struct error why;

    assert_done(knock_sign(&signature, knocker, &r, &why), why);
    assert_int_equal(r.counter, request->counter);
    return knock_seal(datagram, knocker, &r, &signature);
}

static const struct request some_request = {
    .action = ACTION_OPEN, .service_count = 1, .services = {{IPPROTO_TCP, 22}}, .window = 60,
    .counter = 1800000000000000,
};

/* As the server does it: hint, envelope, canonical form, signature. */
static void assert_honoured(const struct both_ends *b, const uint8_t *datagram, size_t size)
{
    uint8_t gate[GATE_KEY_SIZE], claimed[KEY_ID_SIZE], id[KEY_ID_SIZE];
    uint8_t encoded[REQUEST_SIZE];
    struct signature signature;
    struct signer signer;
    struct request r;

    envelope_gate_key(gate, b->server->public_key);
    envelope_claimed_key_id(claimed, gate, datagram);
    envelope_key_id(id, b->identity->public_key);
    assert_memory_equal(claimed, id, KEY_ID_SIZE);
    assert_true(envelope_open(encoded, &signature, SIGNER_NATIVE, b->envelope_key, datagram, size));
    assert_true(request_decode(&r, encoded));
    signer = native_signer(b->identity->public_key);
    assert_true(envelope_verify(&signature, &signer, b->server->public_key,
                                encoded));
    assert_int_equal(r.services[0].port, 22);
    assert_int_equal(r.window, 60);
    assert_int_equal(r.counter, some_request.counter);
}

static void knock_opens_under_the_servers_key(void **state)
{
    static const uint8_t preshared[KEY_SIZE] = "a secret that both of us know...";
    uint8_t datagram[DATAGRAM_MAX];
    struct both_ends b;

    (void)state;
    for (int i = 0; i < 2; i++) {
        meet(&b, i == 0 ? NULL : preshared);
        assert_honoured(&b, datagram, knock_make(datagram, b.knocker, &some_request));
        part(&b);
    }
}

static void preshared_key_is_needed_to_open(void **state)
{
    static const uint8_t preshared[KEY_SIZE] = {7};
    uint8_t datagram[DATAGRAM_MAX], encoded[REQUEST_SIZE];
    struct signature signature;
    struct both_ends with;
    struct knocker *without;
    struct error why;
    size_t size;

    (void)state;
    meet(&with, preshared);
    with.server->has_preshared = false;
    without = knocker_new(with.identity, with.server, &why);
    size = knock_make(datagram, without, &some_request);
    assert_false(envelope_open(encoded, &signature, SIGNER_NATIVE, with.envelope_key, datagram,
                               size));
    knocker_free(without);
    part(&with);
}

static void padding_is_drawn_from_the_whole_range(void **state)
{
    unsigned seen[PADDING_MAX + 1] = {0};
    uint8_t datagram[DATAGRAM_MAX];
    struct both_ends b;

    (void)state;
    meet(&b, NULL);
    /* That a size stays away in 5000 draws: once in 10^15 runs. */
    for (int i = 0; i < 5000; i++) {
        size_t size = knock_make(datagram, b.knocker, &some_request);

        assert_in_range(size, DATAGRAM_MIN, DATAGRAM_MAX);
        seen[size - DATAGRAM_MIN]++;
    }
    for (size_t i = 0; i < COUNT_OF(seen); i++)
        assert_int_not_equal(seen[i], 0);
    part(&b);
}

static void no_two_knocks_share_a_nonce_or_hint(void **state)
{
    uint8_t one[DATAGRAM_MAX], two[DATAGRAM_MAX];
    struct both_ends b;

    (void)state;
    meet(&b, NULL);
    knock_make(one, b.knocker, &some_request);
    knock_make(two, b.knocker, &some_request);
    assert_memory_not_equal(one, two, NONCE_SIZE);
    assert_memory_not_equal(one + NONCE_SIZE, two + NONCE_SIZE, KEY_ID_SIZE);
    part(&b);
}

/* ---- targets ------------------------------------------------------------------------ */

static void addresses_are_resolved_without_repeats(void **state)
{
    struct target targets[TARGETS_MAX];
    char text[TARGET_TEXT_SIZE];
    struct error why;

    (void)state;
    assert_int_equal(resolve_targets(targets, "192.0.2.7", 62201, AF_UNSPEC, true, &why), 1);
    assert_string_equal(target_format(&targets[0], text), "192.0.2.7");
    assert_int_equal(ntohs(((struct sockaddr_in *)&targets[0].to)->sin_port), 62201);
    assert_int_equal(resolve_targets(targets, "2001:db8::7", 62201, AF_INET6, true, &why), 1);
    assert_string_equal(target_format(&targets[0], text), "2001:db8::7");
    assert_int_equal(resolve_targets(targets, "192.0.2.7", 62201, AF_INET6, true, &why), 0);
    assert_non_null(strstr(why.text, "no IPv6 address found"));
    assert_int_equal(resolve_targets(targets, "2001:db8::7", 62201, AF_INET, true, &why), 0);
    assert_non_null(strstr(why.text, "no IPv4 address found"));
}

/* What a wrapper or a resolver makes up is not knocked at. */
static void addresses_that_no_server_can_have_are_refused(void **state)
{
    static const char *const never[] = {"224.0.0.1", "239.1.2.3",       "0.0.0.0", "0.1.2.3",
                                        "255.255.255.255", "::", "ff02::1", "::ffff:224.0.0.1"};
    struct target targets[TARGETS_MAX];
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(never); i++) {
        why.text[0] = '\0';
        if (resolve_targets(targets, never[i], 62201, AF_UNSPEC, true, &why) != 0)
            fail_msg("%s", never[i]);
        assert_non_null(strstr(why.text, "no address that a server can have; if you did not give "
                                         "it, a SOCKS wrapper such as proxychains"));
    }
    assert_int_equal(resolve_targets(targets, "fe80::7%lo", 62201, AF_UNSPEC, true, &why), 0);
    assert_non_null(strstr(why.text, "fe80::7%lo is link-local, and no server opens a port"));
}

/* For no literal address is anything looked up. */
static void towards_a_well_known_nat64_prefix_nothing_is_signed(void **state)
{
    static const struct {
        const char *host;
        bool signs, may_sign;
    } some[] = {
        {"64:ff9b::192.0.2.7", true, false},
        {"64:ff9b:1:2::7", true, false},
        {"2001:db8::192.0.2.7", true, true},
        {"192.0.2.7", true, true},
        {"64:ff9b::192.0.2.7", false, true}, /* which nobody asks then */
    };
    struct target targets[TARGETS_MAX];
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(some); i++) {
        assert_int_equal(resolve_targets(targets, some[i].host, 62201, AF_UNSPEC, some[i].signs,
                                         &why), 1);
        assert_int_equal(targets[0].may_sign, some[i].may_sign);
    }
}

static void source_is_that_of_the_route(void **state)
{
    struct target targets[TARGETS_MAX];
    char text[ADDRESS_TEXT_SIZE];
    struct address source;
    struct error why;
    int fd;

    (void)state;
    assert_int_equal(resolve_targets(targets, "127.0.0.1", 9, AF_UNSPEC, true, &why), 1);
    fd = source_connect_udp(&targets[0], &source, &why);
    assert_true(fd >= 0);
    assert_string_equal(address_format(&source, text), "127.0.0.1");
    close(fd);
}

/* ---- sending ------------------------------------------------------------------------- */

static int listen_on_loopback(uint16_t *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof to;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &size), 0);
    *port = ntohs(to.sin_port);
    return fd;
}

/* Whatever address it is, also one that no server can have. */
static struct target target_of(const char *text, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct target target = {.size = sizeof v4, .may_sign = true};

    memcpy(&target.to, &v4, sizeof v4);
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&target.to)->sin_addr) == 1)
        return target;
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    memcpy(&target.to, &v6, sizeof v6);
    target.size = sizeof v6;
    return target;
}

static void assert_arrived(int fd, const struct both_ends *b, const struct sending *s)
{
    uint8_t datagram[DATAGRAM_MAX + 1], encoded[REQUEST_SIZE];
    struct signature signature;
    ssize_t size = recv(fd, datagram, sizeof datagram, MSG_DONTWAIT); /* loopback: it is there */
    struct request r;

    assert_true(s->sent);
    assert_int_equal(size, s->size);
    assert_true(envelope_open(encoded, &signature, SIGNER_NATIVE, b->envelope_key, datagram,
                              s->size));
    assert_true(request_decode(&r, encoded));
    assert_int_equal(r.counter, s->request.counter);
    assert_false(r.has_address); /* loopback is not global */
}

static void resolve_all(struct target *targets, const char *const *hosts, size_t count,
                        uint16_t port)
{
    for (size_t i = 0; i < count; i++)
        targets[i] = target_of(hosts[i], port);
}

static void targets_share_a_counter_where_the_knock_is_the_same(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "::1", "255.255.255.255", "127.0.0.1"};
    struct sending sendings[SENDINGS_MAX];
    unsigned made;
    struct target targets[COUNT_OF(hosts)];
    struct both_ends b;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    meet(&b, NULL);
    resolve_all(targets, hosts, COUNT_OF(hosts), port);
    assert_in_range(send_knocks(sendings, &made, targets, COUNT_OF(hosts), b.knocker, &some_request,
                                true), 2, 3); /* 3 where there is IPv6 */
    assert_arrived(fd, &b, &sendings[0]);
    assert_arrived(fd, &b, &sendings[3]);
    assert_false(sendings[2].sent); /* not without SO_BROADCAST */
    assert_string_equal(sendings[2].why.text, "Permission denied: a route of this machine forbids it "
                        "(ip route get), or it is a broadcast address");
    assert_int_equal(sendings[0].request.counter, some_request.counter + SENDINGS_MAX - 1);
    if (sendings[1].sent)
        assert_int_equal(sendings[1].request.counter, some_request.counter + SENDINGS_MAX - 2);
    assert_int_equal(sendings[3].request.counter, some_request.counter + SENDINGS_MAX - 1);
    assert_memory_not_equal(sendings[0].datagram, sendings[3].datagram, NONCE_SIZE);
    part(&b);
    close(fd);
}

static void a_signed_address_is_a_knock_of_its_own(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.1"};
    struct request asked = some_request;
    struct sending sendings[SENDINGS_MAX];
    unsigned made;
    struct target targets[2];
    struct both_ends b;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    asked.has_address = true;
    assert_true(address_parse(&asked.address, "198.51.100.7"));
    meet(&b, NULL);
    resolve_all(targets, hosts, 2, port);
    assert_int_equal(send_knocks(sendings, &made, targets, 2, b.knocker, &asked, false), 2);
    assert_int_equal(sendings[1].request.counter, sendings[0].request.counter);
    assert_memory_equal(&sendings[1].request.address, &asked.address, sizeof asked.address);
    part(&b);
    close(fd);
}

/* Behind a NAT each member has a knock of its own; a signed address is for all of them. */
static void a_member_is_named_unless_an_address_is_signed(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.1", "127.0.0.1"};
    struct request asked = some_request;
    struct sending sendings[SENDINGS_MAX];
    unsigned made;
    struct target targets[3];
    struct both_ends b;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    meet(&b, NULL);
    resolve_all(targets, hosts, 3, port);
    member_id(targets[0].member, "a.example.org");
    member_id(targets[1].member, "b.example.org");
    member_id(targets[2].member, "b.example.org");
    assert_int_equal(send_knocks(sendings, &made, targets, 3, b.knocker, &asked, true), 3);
    assert_arrived(fd, &b, &sendings[0]);
    assert_arrived(fd, &b, &sendings[1]);
    assert_arrived(fd, &b, &sendings[2]);
    for (unsigned i = 0; i < 3; i++)
        assert_memory_equal(sendings[i].request.member, targets[i].member, MEMBER_SIZE);
    assert_int_equal(sendings[1].request.counter, sendings[0].request.counter - 1);
    assert_int_equal(sendings[2].request.counter, sendings[1].request.counter);
    asked.has_address = true;
    assert_true(address_parse(&asked.address, "198.51.100.7"));
    assert_int_equal(send_knocks(sendings, &made, targets, 3, b.knocker, &asked, false), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_false(request_names_member(&sendings[i].request));
    assert_int_equal(sendings[2].request.counter, sendings[0].request.counter);
    part(&b);
    close(fd);
}

static void use_state_in(const char *directory)
{
    char path[PATH_MAX];

    assert_non_null(realpath(directory, path));
    setenv("XDG_STATE_HOME", path, 1);
}

static void a_knock_is_signed_anew_where_the_source_is_another(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.1"};
    struct sending sendings[SENDINGS_MAX];
    unsigned made;
    struct target targets[2];
    struct both_ends b;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    use_state_in(".");
    meet(&b, NULL);
    resolve_all(targets, hosts, 2, port);
    assert_int_equal(send_knocks(sendings, &made, targets, 2, b.knocker, &some_request, true), 2);
    assert_arrived(fd, &b, &sendings[0]);
    assert_arrived(fd, &b, &sendings[1]);
    for (unsigned i = 0; i < 2; i++)
        assert_true(address_parse(&sendings[i].source, "192.0.2.1"));
    assert_int_equal(send_knocks_again(sendings, 2, b.knocker), 2);
    assert_arrived(fd, &b, &sendings[0]);
    assert_true(sendings[0].is_new);
    assert_true(sendings[0].request.counter != some_request.counter + SENDINGS_MAX - 1);
    assert_int_equal(sendings[0].request.counter, sendings[1].request.counter);
    part(&b);
    close(fd);
}

static void a_knock_that_is_signed_anew_has_a_new_counter(void **state)
{
    static const char *const hosts[] = {"127.0.0.1"};
    struct sending sendings[SENDINGS_MAX], *sending = sendings;
    unsigned made;
    struct target target;
    struct both_ends b;
    uint64_t last;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    use_state_in(".");
    meet(&b, NULL);
    resolve_all(&target, hosts, 1, port);
    assert_int_equal(send_knocks(sendings, &made, &target, 1, b.knocker, &some_request, true), 1);
    assert_arrived(fd, &b, sending);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(send_knock_anew(sending, b.knocker));
        assert_arrived(fd, &b, sending);
        assert_true(counter_last_own(&last));
        assert_int_equal(sending->request.counter, last);
    }
    part(&b);
    close(fd);
}

static void without_a_counter_nothing_is_signed_anew(void **state)
{
    static const char *const hosts[] = {"127.0.0.1"};
    struct sending sendings[SENDINGS_MAX], *sending = sendings;
    unsigned made;
    struct target target;
    struct both_ends b;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    setenv("XDG_STATE_HOME", "/dev/full", 1);
    meet(&b, NULL);
    resolve_all(&target, hosts, 1, port);
    assert_int_equal(send_knocks(sendings, &made, &target, 1, b.knocker, &some_request, true), 1);
    assert_arrived(fd, &b, sending);
    assert_false(send_knock_anew(sending, b.knocker));
    assert_non_null(strstr(sending->why.text, "/dev/full"));
    use_state_in(".");
    assert_int_equal(send_knocks_again(sending, 1, b.knocker), 1);
    assert_arrived(fd, &b, sending);
    part(&b);
    close(fd);
}

static void what_is_sent_again_is_the_same_datagram(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "255.255.255.255"};
    struct target targets[COUNT_OF(hosts)];
    struct sending sendings[SENDINGS_MAX];
    unsigned made;
    struct both_ends b;
    uint8_t first[DATAGRAM_MAX];
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    meet(&b, NULL);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        targets[i] = target_of(hosts[i], port);
    assert_int_equal(send_knocks(sendings, &made, targets, 2, b.knocker, &some_request, true), 1);
    memcpy(first, sendings[0].datagram, sendings[0].size);
    assert_arrived(fd, &b, &sendings[0]);
    assert_int_equal(send_knocks_again(sendings, 2, b.knocker), 1);
    assert_memory_equal(sendings[0].datagram, first, sendings[0].size);
    assert_arrived(fd, &b, &sendings[0]);
    assert_false(sendings[1].sent);
    part(&b);
    close(fd);
}

/* ---- by an ssh-agent ------------------------------------------------------------------ */

struct by_agent {
    struct stub stub;
    struct server *server;
    struct knocker *knocker;
    uint8_t envelope_key[KEY_SIZE];
};

static void meet_agent(struct by_agent *b, enum signer_form form)
{
    static const uint8_t secret[KEY_SIZE] = {9};
    struct error why;

    use_state_in(".");
    stub_start(&b->stub, form);
    b->server = server_new(&why);
    assert_true(key_server_public(b->server->public_key, secret));
    b->server->has_ssh_key = b->server->has_preshared = true;
    b->server->ssh_key = b->stub.key;
    b->server->preshared[3] = 1;
    strcpy(b->server->agent, STUB_PATH);
    strcpy(b->server->identity, "/there/is/none");
    b->knocker = knocker_read(b->server, NULL, &why);
    assert_non_null(b->knocker);
    envelope_key_of_preshared(b->envelope_key, b->server->preshared, b->stub.who.public_key,
                              b->server->public_key);
}

static void part_from_agent(struct by_agent *b)
{
    knocker_free(b->knocker);
    server_free(b->server);
    stub_end(&b->stub);
}

static struct request fresh_request(void)
{
    struct request r = some_request;

    r.counter = clock_wall_us();
    return r;
}

/* As the server does it, which wants a touch. */
static void assert_honoured_by_agent(const struct by_agent *b, const uint8_t *datagram, size_t size,
                                     uint64_t counter)
{
    struct signer signer = ssh_key_signer(&b->stub.key);
    uint8_t encoded[REQUEST_SIZE];
    struct signature signature;
    struct request r;

    assert_true(envelope_open(encoded, &signature, (enum signer_form)signer.form, b->envelope_key,
                              datagram, size));
    assert_true(envelope_verify(&signature, &signer, b->server->public_key, encoded));
    assert_true(request_decode(&r, encoded));
    assert_int_equal(r.counter, counter);
}

static void an_agent_signs_knocks_in_its_keys_form(void **state)
{
    static const enum signer_form forms[] = {SIGNER_SSH, SIGNER_SECURITY_KEY};
    uint8_t datagram[DATAGRAM_MAX];
    struct signature signature;
    struct by_agent b;
    struct error why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        struct request r = fresh_request();

        meet_agent(&b, forms[i]);
        assert_int_equal(b.knocker->asks, forms[i] == SIGNER_SECURITY_KEY);
        assert_done(knock_sign(&signature, b.knocker, &r, &why), why);
        for (int k = 0; k < 1000; k++) {
            size_t size = knock_seal(datagram, b.knocker, &r, &signature);

            assert_in_range(size, DATAGRAM_MIN + (i == 1 ? AUTHENTICATOR_SIZE : 0), DATAGRAM_MAX);
            if (k < 20)
                assert_honoured_by_agent(&b, datagram, size, r.counter);
        }
        assert_int_equal(b.stub.asked, 1);
        part_from_agent(&b);
    }
}

/* The server says whether a touch is needed. */
static void a_signature_without_a_touch_is_sent(void **state)
{
    struct request r = fresh_request();
    struct signature signature;
    struct by_agent b;
    struct error why;

    (void)state;
    meet_agent(&b, SIGNER_SECURITY_KEY);
    b.stub.flags = 0;
    assert_done(knock_sign(&signature, b.knocker, &r, &why), why);
    part_from_agent(&b);
}

static void a_signature_by_another_key_is_not_sent(void **state)
{
    struct request r = fresh_request();
    struct signature signature;
    struct by_agent b;
    struct error why;

    (void)state;
    meet_agent(&b, SIGNER_SSH);
    b.stub.is_another = true;
    assert_false(knock_sign(&signature, b.knocker, &r, &why));
    assert_non_null(strstr(why.text, "the ssh-agent at ./agent has not signed by the key of SSHKey"));
    part_from_agent(&b);
}

/* Somebody is asked, who may say no. */
static void a_slow_agent_counts_as_one_that_asks_whatever_it_answers(void **state)
{
    struct signature signature;
    struct by_agent b;
    struct error why;

    (void)state;
    for (int refuses = 0; refuses < 2; refuses++) {
        struct request r = fresh_request();

        meet_agent(&b, SIGNER_SSH);
        b.stub.refuses = refuses;
        assert_false(b.knocker->asks);
        b.stub.takes = (int64_t)AGENT_SLOW * NSEC_PER_SEC + NSEC_PER_MSEC;
        assert_int_equal(knock_sign(&signature, b.knocker, &r, &why), !refuses);
        assert_true(b.knocker->asks);
        part_from_agent(&b);
    }
}

static void a_signature_that_came_late_is_made_anew_once(void **state)
{
    const uint64_t fresh = KNOCK_FRESH * (uint64_t)USEC_PER_SEC;
    struct request r = fresh_request();
    uint64_t old = r.counter - fresh + 2 * USEC_PER_SEC, last;
    struct signature signature;
    struct by_agent b;
    struct error why;

    (void)state;
    meet_agent(&b, SIGNER_SSH);
    r.counter = old;
    assert_done(knock_sign(&signature, b.knocker, &r, &why), why);
    assert_int_equal(r.counter, old);
    assert_int_equal(b.stub.asked, 1);
    b.stub.takes = INT64_C(2) * NSEC_PER_SEC + NSEC_PER_MSEC;
    assert_done(knock_sign(&signature, b.knocker, &r, &why), why);
    assert_true(counter_last_own(&last));
    assert_int_equal(r.counter, last);
    assert_int_equal(b.stub.asked, 3);
    part_from_agent(&b);
}

/* It waited while somebody was asked for another. */
static void a_request_that_is_late_gets_a_counter_before_the_agent_is_asked(void **state)
{
    struct request r = fresh_request();
    struct signature signature;
    struct by_agent b;
    struct error why;
    uint64_t last;

    (void)state;
    meet_agent(&b, SIGNER_SSH);
    r.counter -= (KNOCK_FRESH + 1) * (uint64_t)USEC_PER_SEC;
    assert_done(knock_sign(&signature, b.knocker, &r, &why), why);
    assert_true(counter_last_own(&last));
    assert_int_equal(r.counter, last);
    assert_int_equal(b.stub.asked, 1);
    part_from_agent(&b);
}

/* Sends to these hosts, the last of which has a way, and returns how many sendings there are. */
static unsigned send_by_agent(struct sending *sendings, const struct by_agent *b,
                              const char *const *hosts, size_t count, uint16_t port)
{
    struct target targets[TARGETS_MAX];
    struct request r = fresh_request();
    unsigned made;

    resolve_all(targets, hosts, count, port);
    send_knocks(sendings, &made, targets, (unsigned)count, b->knocker, &r, true);
    return made;
}

/* Two sendings that are no twins, as if to two families: the second one signs another address. */
static void make_pair(struct sending *sendings, uint16_t port)
{
    for (unsigned i = 0; i < 2; i++) {
        sendings[i] = (struct sending){.target = target_of("127.0.0.1", port), .size = 0,
                                       .transport = TRANSPORT_UDP, .request = fresh_request()};
        assert_true(address_parse(&sendings[i].source, "127.0.0.1"));
        assert_true(address_parse(&sendings[i].request.address,
                                  i == 0 ? "198.51.100.7" : "198.51.100.8"));
        sendings[i].request.has_address = true;
    }
}

static void each_knock_is_sent_before_the_next_signature_is_asked_for(void **state)
{
    struct sending sendings[2];
    struct by_agent b;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    meet_agent(&b, SIGNER_SSH);
    b.stub.knocks = fd;
    make_pair(sendings, port);
    assert_int_equal(send_knocks_again(sendings, 2, b.knocker), 2);
    assert_int_equal(b.stub.asked, 2);
    part_from_agent(&b);
    close(fd);
}

static void a_refusal_spares_the_twin_of_what_was_signed(void **state)
{
    struct sending sendings[3];
    struct by_agent b;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    meet_agent(&b, SIGNER_SSH);
    b.stub.patience = 1;
    make_pair(sendings, port);
    sendings[2] = sendings[0];
    assert_int_equal(send_knocks_again(sendings, 3, b.knocker), 2);
    assert_int_equal(b.stub.asked, 2);
    assert_true(sendings[0].sent && sendings[1].is_refused && sendings[2].sent);
    assert_int_equal(sendings[2].request.counter, sendings[0].request.counter);
    part_from_agent(&b);
    close(fd);
}

static void what_is_the_same_is_signed_once(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.1", "127.0.0.1"};
    struct sending sendings[SENDINGS_MAX];
    struct by_agent b;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    meet_agent(&b, SIGNER_SSH);
    assert_int_equal(send_by_agent(sendings, &b, hosts, COUNT_OF(hosts), port), 3);
    assert_int_equal(b.stub.asked, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_honoured_by_agent(&b, sendings[i].datagram, sendings[i].size,
                                 sendings[0].request.counter);
    part_from_agent(&b);
    close(fd);
}

/* 255.255.255.255 has no way. */
static void a_security_key_signs_one_request_for_all(void **state)
{
    static const char *const hosts[] = {"255.255.255.255", "127.0.0.1", "::1", "127.0.0.1"};
    struct sending sendings[SENDINGS_MAX];
    struct by_agent b;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    meet_agent(&b, SIGNER_SECURITY_KEY);
    assert_int_equal(send_by_agent(sendings, &b, hosts, COUNT_OF(hosts), port), 2);
    assert_int_equal(b.stub.asked, 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(sendings[i].sent && sendings[i].target.to.ss_family == AF_INET);
        assert_honoured_by_agent(&b, sendings[i].datagram, sendings[i].size,
                                 sendings[0].request.counter);
    }
    assert_int_equal(send_knocks_again(sendings, 2, b.knocker), 2);
    assert_int_equal(b.stub.asked, 1);
    assert_int_equal(send_by_agent(sendings, &b, hosts, 1, port), 1); /* says why */
    assert_non_null(strstr(sendings[0].why.text, "Permission denied"));
    part_from_agent(&b);
    close(fd);
}

static void an_agent_that_refuses_is_not_asked_again(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.1", "::1"};
    struct sending sendings[SENDINGS_MAX];
    struct by_agent b;
    uint16_t port;
    int fd = listen_on_loopback(&port);

    (void)state;
    meet_agent(&b, SIGNER_SSH);
    b.stub.refuses = true;
    assert_int_equal(send_by_agent(sendings, &b, hosts, COUNT_OF(hosts), port), 3);
    assert_int_equal(send_knocks_again(sendings, 3, b.knocker), 0);
    assert_false(send_knock_anew(&sendings[0], b.knocker));
    assert_int_equal(b.stub.asked, 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(sendings[i].is_refused && !sendings[i].sent);
        assert_non_null(strstr(sendings[i].why.text, "refuses to sign"));
        assert_string_equal(send_advice(&sendings[i]), "");
    }
    part_from_agent(&b);
    close(fd);
}

/* ---- paths --------------------------------------------------------------------------- */

static void paths_follow_the_environment(void **state)
{
    char path[PATH_MAX];
    struct error why;

    (void)state;
    setenv("HOME", "/home/u", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_STATE_HOME");
    assert_true(path_config_directory(path, &why));
    assert_string_equal(path, "/home/u/.config/portsmith");
    assert_true(path_identity(path, &why));
    assert_string_equal(path, "/home/u/.config/portsmith/identity");
    assert_true(path_state_directory(path, &why));
    assert_string_equal(path, "/home/u/.local/state/portsmith");
    setenv("XDG_CONFIG_HOME", "/c", 1);
    setenv("XDG_STATE_HOME", "/s", 1);
    assert_true(path_config_directory(path, &why));
    assert_string_equal(path, "/c/portsmith");
    assert_true(path_state_directory(path, &why));
    assert_string_equal(path, "/s/portsmith");
    setenv("XDG_CONFIG_HOME", "relative", 1);
    assert_true(path_config_directory(path, &why));
    assert_string_equal(path, "/home/u/.config/portsmith");
}

/* ---- the last failure ---------------------------------------------------------- */

static void a_failure_is_kept_without_what_controls_a_terminal(void **state)
{
    char text[FAILURE_TEXT_SIZE];
    time_t when;

    (void)state;
    use_state_in(".");
    failure_note("a\033[2J\tb\nc");
    failure_note("d\xc2\x9b" "e\xc3\xa9");
    failure_keep();
    assert_true(failure_read(text, &when));
    assert_string_equal(text, "a?[2J?b?c\nd??e\xc3\xa9\n");
    failure_forget();
    assert_false(failure_read(text, &when));
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_enter, scratch_leave)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_SCRATCH(first_counter_is_the_clock),
        IN_SCRATCH(counters_follow_the_clock_or_the_last),
        IN_SCRATCH(several_counters_are_taken_at_once),
        IN_SCRATCH(clock_set_back_a_little_is_outrun),
        IN_SCRATCH(clock_set_back_far_is_followed_with_a_warning),
        IN_SCRATCH(damaged_counters_are_replaced_with_a_warning),
        IN_SCRATCH(empty_counter_file_is_a_new_one),
        IN_SCRATCH(greatest_counter_does_not_wrap),
        IN_SCRATCH(counters_that_cannot_be_kept_are_not_given),
        IN_SCRATCH(parallel_knocks_never_share_a_counter),
        IN_SCRATCH(identity_is_made_once_and_read_back),
        IN_SCRATCH(unusable_identities_are_refused),
        IN_SCRATCH(minimal_server_file_has_defaults),
        IN_SCRATCH(full_server_file_is_read),
        IN_SCRATCH(a_group_has_members),
        IN_SCRATCH(a_router_may_map_ports),
        IN_SCRATCH(a_server_may_know_an_ssh_key),
        IN_SCRATCH(paths_begin_at_the_home_directory_or_at_the_file),
        IN_SCRATCH(identity_is_relative_to_the_file),
        IN_SCRATCH(mistakes_are_named_with_file_and_line),
        IN_SCRATCH(the_old_word_for_service_is_taken_with_a_note),
        IN_SCRATCH(missing_server_file_is_told_apart),
        IN_SCRATCH(loose_server_files_are_refused),
        IN_SCRATCH(server_names_are_file_names),
        IN_SCRATCH(bundle_becomes_a_server_and_an_identity),
        IN_SCRATCH(bundle_without_preshared_key_or_services),
        IN_SCRATCH(bundle_with_many_services_asks_for_all),
        IN_SCRATCH(longest_bundle_fits),
        IN_SCRATCH(what_was_imported_is_exported_whole),
        IN_SCRATCH(without_an_identity_no_secret_is_exported),
        IN_SCRATCH(a_bundle_may_carry_an_ssh_key),
        IN_SCRATCH(bundle_from_a_pipe_may_hold_secrets),
        IN_SCRATCH(import_is_all_or_nothing),
        IN_SCRATCH(wrong_bundles_are_refused),
        IN_SCRATCH(knock_opens_under_the_servers_key),
        IN_SCRATCH(preshared_key_is_needed_to_open),
        IN_SCRATCH(padding_is_drawn_from_the_whole_range),
        IN_SCRATCH(no_two_knocks_share_a_nonce_or_hint),
        cmocka_unit_test(addresses_are_resolved_without_repeats),
        cmocka_unit_test(addresses_that_no_server_can_have_are_refused),
        cmocka_unit_test(towards_a_well_known_nat64_prefix_nothing_is_signed),
        cmocka_unit_test(source_is_that_of_the_route),
        IN_SCRATCH(targets_share_a_counter_where_the_knock_is_the_same),
        IN_SCRATCH(a_signed_address_is_a_knock_of_its_own),
        IN_SCRATCH(a_member_is_named_unless_an_address_is_signed),
        IN_SCRATCH(a_knock_is_signed_anew_where_the_source_is_another),
        IN_SCRATCH(a_knock_that_is_signed_anew_has_a_new_counter),
        IN_SCRATCH(without_a_counter_nothing_is_signed_anew),
        IN_SCRATCH(what_is_sent_again_is_the_same_datagram),
        IN_SCRATCH(an_agent_signs_knocks_in_its_keys_form),
        IN_SCRATCH(a_signature_without_a_touch_is_sent),
        IN_SCRATCH(a_signature_by_another_key_is_not_sent),
        IN_SCRATCH(a_slow_agent_counts_as_one_that_asks_whatever_it_answers),
        IN_SCRATCH(a_signature_that_came_late_is_made_anew_once),
        IN_SCRATCH(a_request_that_is_late_gets_a_counter_before_the_agent_is_asked),
        IN_SCRATCH(each_knock_is_sent_before_the_next_signature_is_asked_for),
        IN_SCRATCH(a_refusal_spares_the_twin_of_what_was_signed),
        IN_SCRATCH(what_is_the_same_is_signed_once),
        IN_SCRATCH(a_security_key_signs_one_request_for_all),
        IN_SCRATCH(an_agent_that_refuses_is_not_asked_again),
        IN_SCRATCH(a_failure_is_kept_without_what_controls_a_terminal),
        cmocka_unit_test(paths_follow_the_environment),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
