/* Takes the sniffer's place, the witness's and the supervisor's, with the real
 * portsmith-prepare and helper, and asks for everything that a helper must not do.
 * One honest grant is live all the while; nothing but that may ever be in the
 * firewall, and it must go in time.
 *
 *   hostile PREPARE nft|legacy 4|6 ACT  every variant of an act, each with a
 *                                       helper and a network namespace of its own
 *   hostile acts                        the acts, one a line
 *   hostile through PID KIND            speaks through the socket of a sniffer
 *                                       that runs: KIND is size, action or random
 *
 * Exits with 0 if the helper held. Wants root. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "privsep/event.h"
#include "privsep/message.h"
#include "privsep/setup.h"

enum {
    WINDOW = 3,          /* seconds, of the honest grant */
    LATE_MS = 1500,      /* how much later than its end its rules may go */
    ANSWER_MS = 10000,   /* for what should come at once */
    START_MS = 60000,
    LOOK_MS = 200,       /* between looks at the rules */
    EDGE_MS = 60,        /* and one so long before the end, as late as there is time to take it */
    STEP_MS = 20,        /* between looks at a process */
    PARALLEL = 6,        /* variants at a time */
    STORM = 2000,        /* messages where many are sent */
    UNANSWERED_MAX = 128, /* as in sniffer.c */
};

enum { ALICE, BOB, MALLORY, PEOPLE }; /* Mallory is in no profile */

struct person {
    uint8_t signing[SIGNING_KEY_SIZE], public_key[KEY_SIZE], key_id[KEY_ID_SIZE];
};

/* One helper, and what is known of it. */
struct stage {
    const char *prepare;
    enum backend backend;
    int family; /* 4 or 6 */
    unsigned variant;
    struct person people[PEOPLE];
    uint8_t server_public[KEY_SIZE];
    pid_t pid;
    int control, sniffer, witness; /* our ends; sniffer -1 once we closed it */
    struct helper_request honest; /* Alice's, which was granted */
    char *empty, *granted; /* the rules before and after that */
    int64_t ends_after, ends_before; /* CLOCK_BOOTTIME, nanoseconds */
    bool counts;   /* Bob's doors admit only so many connections */
    uint32_t made; /* requests, each with a counter of its own */
};

struct act {
    const char *name;
    unsigned variants;
    unsigned together; /* variants at a time; 0: PARALLEL */
    bool counts;       /* as in struct stage */
    void (*play)(struct stage *stage);
};

/* ---- the firewall as it is ---------------------------------------------- */

/* Whether the kernel lets nothing through by a rule any more, by its deadline in UTC. It stands until
 * it is swept out. */
static bool is_over(const char *rule)
{
    static const char option[] = "--datestop ";
    const char *deadline = strstr(rule, option);
    char now[sizeof "2026-12-01T00:00:00"];
    const time_t second = time(NULL);

    strftime(now, sizeof now, "%FT%T", gmtime(&second));
    return deadline && strncmp(deadline + sizeof option - 1, now, sizeof now - 1) < 0;
}

/* What a command prints, without comments, counters, and rules that are over; the caller frees it. */
static char *output_of(const char *command)
{
    FILE *from = popen(command, "re"), *to;
    char *text = NULL, *line = NULL;
    size_t size, room = 0;

    to = open_memstream(&text, &size);
    if (!from || !to)
        err(1, "%s", command);
    while (getline(&line, &room, from) > 0) {
        line[strcspn(line, *line == '#' ? "#" : *line == ':' ? "[\n" : "\n")] = '\0';
        if (!is_over(line))
            fprintf(to, "%s\n", line);
    }
    free(line);
    fclose(to);
    if (pclose(from) != 0)
        errx(1, "failed: %s", command);
    return text;
}

/* All tables of both families, as the back end lists them. */
static char *rules_of(const struct stage *s)
{
    const char *backend = s->backend == BACKEND_NFT ? "nft" : "legacy";
    char command[256];

    snprintf(command, sizeof command, "iptables-%s-save && ip6tables-%s-save", backend, backend);
    return output_of(command);
}

/* Whether the honest grant's rules cannot be over yet: the kernel counts whole seconds. */
static bool is_early(const struct stage *s)
{
    return clock_boot_ns() + NSEC_PER_SEC < s->ends_after;
}

static bool rules_are(const struct stage *s, const char *expected)
{
    char *rules = rules_of(s);
    bool same = strcmp(rules, expected) == 0;

    free(rules);
    return same;
}

/* The first rule that was not there with the honest grant, which the caller frees; or NULL. Line
 * by line, as that grant's rules may be going while they are listed. */
static char *find_other_rule(const struct stage *s)
{
    char *rules = rules_of(s), *rest = rules, *line, *found = NULL;

    while (!found && (line = strsep(&rest, "\n")))
        if (!strstr(s->granted, line))
            found = strdup(line);
    free(rules);
    return found;
}

static void check_rules(const struct stage *s)
{
    const char *found = find_other_rule(s);

    if (found)
        errx(1, "a rule has come up: %s\n--- where there should be:\n%s", found, s->granted);
}

/* ---- the supervisor's part ---------------------------------------------- */

static void make_people(struct stage *s)
{
    for (size_t i = 0; i < PEOPLE; i++) {
        crypto_sign_keypair(s->people[i].public_key, s->people[i].signing);
        envelope_key_id(s->people[i].key_id, s->people[i].public_key);
    }
    randombytes_buf(s->server_public, KEY_SIZE);
}

/* A network, and a /run for the xtables lock, of its own. */
static void leave_the_host(void)
{
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, "mode=755") != 0 || mkdir("/run/state", 0700) != 0)
        err(1, "namespaces");
}

static int high_copy(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 20);

    if (copy < 0)
        err(1, "dup");
    return copy;
}

/* As pair.c does it: descriptors 3 to 10, an empty environment. */
static void become_helper(const struct stage *s, int control, int sniffer, int witness)
{
    const int inherited[] = {high_copy(control), high_copy(sniffer),
                             high_copy(open("/run/state", O_RDONLY | O_DIRECTORY)),
                             high_copy(open("/run", O_RDONLY | O_DIRECTORY)),
                             high_copy(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER)),
                             high_copy(witness),
                             high_copy(memfd_create("portsmith-plan", MFD_ALLOW_SEALING)),
                             high_copy(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER))};
    char *const argv[] = {strdupa("portsmith-prepare"), NULL};
    char *const environment[] = {NULL};

    for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++)
        dup2(inherited[i], HELPER_FD_SUPERVISOR + (int)i);
    execve(s->prepare, argv, environment);
    err(1, "%s", s->prepare);
}

static void send_setup(const struct stage *s)
{
    struct helper_setup setup = {.mode = HELPER_RUN, .backend = s->backend, .foreground = 1,
                                 .skew_checked = 1, .max_skew = 300, .max_grants = 100,
                                 .shut_count = 1, .shut = {{.protocol = 6, .port = 22}},
                                 .profile_count = 2};
    struct helper_profile profile = {.service_count = 2,
                                             .services = {{.protocol = 6, .port = 22},
                                                          {.protocol = 17, .port = 53}},
                                             .window = WINDOW, .max_window = 60,
                                             .max_grants = 50};

    memcpy(setup.server_public, s->server_public, KEY_SIZE);
    if (send(s->control, &setup, sizeof setup, 0) != sizeof setup)
        err(1, "setup");
    for (size_t i = ALICE; i <= BOB; i++) {
        strncpy(profile.name, i == ALICE ? "alice" : "bob", sizeof profile.name); /* and zeros */
        memcpy(profile.signer.public_key, s->people[i].public_key, KEY_SIZE);
        profile.connections = i == BOB && s->counts ? 1 : 0;
        if (send(s->control, &profile, sizeof profile, 0) != sizeof profile)
            err(1, "profile");
    }
}

static bool is_readable(int fd, int milliseconds)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, milliseconds) == 1;
}

/* The next message of the helper to its supervisor; 0 when it has gone. */
static uint32_t await_report(const struct stage *s, int milliseconds)
{
    uint32_t kind = 0;

    if (!is_readable(s->control, milliseconds))
        errx(1, "the helper does not tell its supervisor");
    if (recv(s->control, &kind, sizeof kind, 0) != sizeof kind)
        return 0;
    return kind;
}

/* Of the sniffer or the witness; what the helper tells of the rules may come before. */
static void expect_told(const struct stage *s)
{
    uint32_t kind;

    while ((kind = await_report(s, ANSWER_MS)) == HELPER_REPORT)
        ;
    if (kind != HELPER_PEER_BROKEN)
        errx(1, "the supervisor was not told");
}

static void start_helper(struct stage *s)
{
    int control[2], sniffer[2], witness[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sniffer) != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, witness) != 0)
        err(1, "socketpair");
    s->pid = fork();
    if (s->pid == 0)
        become_helper(s, control[1], sniffer[1], witness[1]);
    close(control[1]);
    close(sniffer[1]);
    close(witness[1]);
    s->control = control[0];
    s->sniffer = sniffer[0];
    s->witness = witness[0];
    send_setup(s);
    if (await_report(s, START_MS) != HELPER_REPORT)
        errx(1, "the helper did not get ready");
}

/* ---- the sniffer's part ------------------------------------------------- */

static struct address home(const struct stage *s)
{
    struct address a;

    address_parse(&a, s->family == 6 ? "2001:db8::7" : "192.0.2.7");
    return a;
}

/* The n-th of many places where a door would be welcome. */
static struct address elsewhere(const struct stage *s, unsigned n)
{
    struct address a = home(s);

    a.bytes[14] ^= (uint8_t)(0x40 | (n >> 8 & 0x3f));
    a.bytes[15] = (uint8_t)n;
    return a;
}

static void sign(struct helper_request *m, const struct stage *s, const struct person *who)
{
    envelope_sign(&m->signature, who->signing, s->server_public, m->request);
}

static struct helper_request message_of(struct stage *s, const struct person *who,
                                        const struct request *r)
{
    struct helper_request m = {.observed = home(s)};

    memcpy(m.key_id, who->key_id, KEY_ID_SIZE);
    request_encode(m.request, r);
    sign(&m, s, who);
    return m;
}

static struct helper_request open_message(struct stage *s, const struct person *who)
{
    struct request r = {.action = ACTION_OPEN, .counter = clock_wall_us() + ++s->made};

    return message_of(s, who, &r);
}

static void pass(const struct stage *s, const void *bytes, size_t size)
{
    if (send(s->sniffer, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
        err(1, "cannot send %zu bytes", size);
}

static enum verdict await_verdict(const struct stage *s)
{
    struct helper_reply reply;

    if (!is_readable(s->sniffer, ANSWER_MS))
        errx(1, "no reply");
    if (recv(s->sniffer, &reply, sizeof reply, MSG_TRUNC) != sizeof reply)
        errx(1, "the helper cut us off");
    return (enum verdict)reply.verdict;
}

static enum verdict ask(const struct stage *s, const struct helper_request *m)
{
    pass(s, m, sizeof *m);
    return await_verdict(s);
}

static void expect(const struct stage *s, const struct helper_request *m, enum verdict verdict)
{
    enum verdict got = ask(s, m);

    if (got != verdict)
        errx(1, "verdict %d where %d was expected", got, verdict);
}

/* The supervisor is told, the socket is shut, and the helper lives on. */
static void expect_cut_off(struct stage *s)
{
    struct helper_reply unread;

    expect_told(s);
    while (recv(s->sniffer, &unread, sizeof unread, 0) > 0)
        ;
    if (send(s->sniffer, "x", 1, MSG_NOSIGNAL) != -1 || (errno != EPIPE && errno != ECONNRESET))
        errx(1, "the sniffer was not cut off");
}

/* ---- before and after each act ------------------------------------------ */

static void open_honestly(struct stage *s)
{
    struct request r = {.action = ACTION_OPEN, .counter = clock_wall_us(), .service_count = 1,
                        .services = {{.protocol = 6, .port = 22}}};

    s->empty = rules_of(s);
    s->honest = message_of(s, &s->people[ALICE], &r);
    s->ends_after = clock_boot_ns() + (int64_t)WINDOW * NSEC_PER_SEC;
    expect(s, &s->honest, VERDICT_OPENED);
    s->ends_before = clock_boot_ns() + (int64_t)WINDOW * NSEC_PER_SEC;
    s->granted = rules_of(s);
    if (strcmp(s->empty, s->granted) == 0 && is_early(s))
        errx(1, "the honest grant opened nothing");
}

static int pause_before_look(const struct stage *s)
{
    int64_t left = (s->ends_after - clock_boot_ns()) / NSEC_PER_MSEC - EDGE_MS;

    return left > 0 && left < LOOK_MS ? (int)left : LOOK_MS;
}

static void check_end(const struct stage *s)
{
    int64_t limit = s->ends_before + (int64_t)LATE_MS * NSEC_PER_MSEC, seen;

    do {
        seen = clock_boot_ns(); /* before the look, so that its own time does not count */
        if (rules_are(s, s->empty)) {
            if (is_early(s))
                errx(1, "the honest grant ended too early");
            return;
        }
        check_rules(s);
        poll(NULL, 0, pause_before_look(s));
    } while (seen < limit);
    errx(1, "the honest grant's rules are still there %d ms after its end", LATE_MS);
}

static void end_helper(const struct stage *s)
{
    int64_t limit = clock_boot_ns() + (int64_t)ANSWER_MS * NSEC_PER_MSEC;
    int status;

    if (waitpid(s->pid, &status, WNOHANG) != 0)
        errx(1, "the helper has died, with status %d", status);
    close(s->control);
    while (waitpid(s->pid, &status, WNOHANG) == 0) {
        if (clock_boot_ns() > limit)
            errx(1, "the helper does not end with its supervisor");
        poll(NULL, 0, STEP_MS);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != HELPER_EXIT_OK)
        errx(1, "the helper ended with status %d", status);
}

static void play(struct stage *s, const struct act *act)
{
    leave_the_host();
    make_people(s);
    start_helper(s);
    open_honestly(s);
    act->play(s);
    check_rules(s);
    check_end(s);
    end_helper(s);
}

/* ---- the acts ----------------------------------------------------------- */

enum { SIZE = sizeof(struct helper_request) };

static const size_t sizes[] = {0, 1, 4, sizeof(struct helper_reply),
                               SIZE - sizeof(struct helper_times), SIZE - 1, SIZE + 1, 2 * SIZE,
                               400, 4096, 100000};

static void wrong_size(struct stage *s)
{
    uint8_t *bytes = calloc(1, 100000);
    struct helper_request m = open_message(s, &s->people[ALICE]);

    memcpy(bytes, &m, sizeof m);
    pass(s, bytes, sizes[s->variant]);
    expect_cut_off(s);
    free(bytes);
}

enum { ACTION = 1 }; /* where a request says what is to be done */

static const uint8_t actions[] = {0, 3, 4, 127, 128, 255};

/* Signed by the client itself, so that nothing but its form is wrong. */
static void wrong_action(struct stage *s)
{
    struct helper_request m = open_message(s, &s->people[ALICE]);

    m.request[ACTION] = actions[s->variant];
    sign(&m, s, &s->people[ALICE]);
    pass(s, &m, sizeof m);
    expect_cut_off(s);
}

/* An open made a close, and a close an open, under the client's signature. */
static void another_action(struct stage *s)
{
    struct request r = {.action = s->variant ? ACTION_OPEN : ACTION_CLOSE,
                        .counter = clock_wall_us() + 1};
    struct helper_request m = message_of(s, &s->people[ALICE], &r);

    m.request[ACTION] = s->variant ? ACTION_CLOSE : ACTION_OPEN;
    expect(s, &m, VERDICT_BAD_SIGNATURE);
}

static void wrong_flag(struct stage *s)
{
    struct helper_request m = open_message(s, &s->people[ALICE]);

    m.request[2] = (uint8_t)(1u << s->variant);
    sign(&m, s, &s->people[ALICE]);
    pass(s, &m, sizeof m);
    expect_cut_off(s);
}

static void wrong_address(struct stage *s)
{
    static const char *const addresses[] = {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255",
                                            "::",      "::1",       "ff02::1"};
    struct helper_request m = open_message(s, &s->people[ALICE]);

    address_parse(&m.observed, addresses[s->variant]);
    pass(s, &m, sizeof m);
    expect_cut_off(s);
}

/* The same each time, so that what fails once can be tried again. */
static void fill_at_random(void *bytes, size_t size, unsigned number)
{
    uint8_t seed[randombytes_SEEDBYTES] = {(uint8_t)number};

    randombytes_buf_deterministic(bytes, size, seed);
}

static void random_bytes(struct stage *s)
{
    uint8_t bytes[sizeof(struct helper_request)];

    fill_at_random(bytes, sizeof bytes, s->variant);
    pass(s, bytes, sizeof bytes);
    expect_cut_off(s);
}

static void passed_descriptors(struct stage *s)
{
    static const unsigned counts[] = {1, 2, 253};
    unsigned count = counts[s->variant % 3];
    struct helper_request m = open_message(s, &s->people[ALICE]);
    struct iovec part = {.iov_base = &m, .iov_len = s->variant < 3 ? sizeof m : 0};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(253 * sizeof(int))];
    } control = {0};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                            .msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);

    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
    for (unsigned i = 0; i < count; i++)
        memcpy(CMSG_DATA(first) + i * sizeof(int), &s->control, sizeof(int));
    if (sendmsg(s->sniffer, &header, MSG_NOSIGNAL) < 0)
        err(1, "sendmsg");
    expect_cut_off(s);
}

/* In the middle of things, in every way that a socket has. */
static void end_of_file(struct stage *s)
{
    struct helper_request m = open_message(s, &s->people[MALLORY]);

    if (s->variant % 2)
        pass(s, &m, sizeof m); /* whose reply nobody will read */
    switch (s->variant / 2) {
    case 0:
        close(s->sniffer);
        break;
    case 1:
        shutdown(s->sniffer, SHUT_RDWR);
        break;
    case 2:
        shutdown(s->sniffer, SHUT_WR);
        break;
    default:
        shutdown(s->sniffer, SHUT_RD);
    }
}

static void unsigned_requests(struct stage *s)
{
    for (unsigned i = 0; i < STORM / 10; i++) {
        struct helper_request m = open_message(s, &s->people[i % PEOPLE]);

        m.observed = elsewhere(s, i);
        if (s->variant)
            randombytes_buf(m.signature.bytes, SIGNATURE_SIZE);
        else
            memset(m.signature.bytes, 0, SIGNATURE_SIZE);
        expect(s, &m, i % PEOPLE == MALLORY ? VERDICT_UNKNOWN_PROFILE : VERDICT_BAD_SIGNATURE);
    }
}

static void wrongly_signed_requests(struct stage *s)
{
    const struct person *alice = &s->people[ALICE];
    struct helper_request m = open_message(s, alice);
    struct request wider = {.action = ACTION_OPEN, .counter = clock_wall_us() + 1000, .window = 60,
                            .has_address = true, .address = elsewhere(s, 1)};
    uint8_t other_server[KEY_SIZE] = {1};

    for (size_t i = BOB; i < PEOPLE; i++) {
        sign(&m, s, &s->people[i]);
        expect(s, &m, VERDICT_BAD_SIGNATURE);
    }
    envelope_sign(&m.signature, alice->signing, other_server, m.request);
    expect(s, &m, VERDICT_BAD_SIGNATURE);
    /* The request that was granted, made wider under its own signature. */
    m = s->honest;
    request_encode(m.request, &wider);
    expect(s, &m, VERDICT_BAD_SIGNATURE);
    /* Its signature, one bit after the other. */
    m = s->honest;
    for (size_t bit = 0; bit < SIGNATURE_SIZE * 8; bit += 7) {
        m.signature.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        expect(s, &m, VERDICT_BAD_SIGNATURE);
        m.signature.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* Bob's knock was carried to the helper, and closed again; then it is used. */
static void replays(struct stage *s)
{
    struct request shut = {.action = ACTION_CLOSE, .counter = clock_wall_us() + 500};
    struct helper_request bob = open_message(s, &s->people[BOB]), bye, replay;

    bob.observed = elsewhere(s, 1);
    bye = message_of(s, &s->people[BOB], &shut);
    bye.observed = bob.observed;
    expect(s, &bob, VERDICT_OPENED);
    expect(s, &bye, VERDICT_CLOSED);
    for (unsigned i = 0; i < STORM / 10; i++) {
        replay = i % 2 ? bob : s->honest;
        replay.observed = elsewhere(s, i);
        expect(s, &replay, VERDICT_REPEATED);
        memcpy(replay.key_id, s->people[i % 2 ? ALICE : BOB].key_id, KEY_ID_SIZE);
        expect(s, &replay, VERDICT_BAD_SIGNATURE);
    }
}

/* Bob opened at many places and closed each again. All of it comes at once, as he did it; or
 * each close before what it closes; or all twice, and he closed them at the end. */
static void in_one_batch(struct stage *s)
{
    enum { PLACES = 15 };
    bool reversed = s->variant == 1, is_twice = s->variant == 2;
    unsigned count = is_twice ? 4 * PLACES : 2 * PLACES, opened = 0;
    struct helper_request messages[2 * PLACES];
    uint64_t counter = clock_wall_us();

    for (unsigned i = 0; i < 2 * PLACES; i++) {
        unsigned place = is_twice ? i % PLACES : i / 2;
        bool closes = is_twice ? i >= PLACES : i % 2;
        struct request r = {.action = closes ? ACTION_CLOSE : ACTION_OPEN, .counter = counter + i};
        struct helper_request *m = &messages[reversed ? i ^ 1 : i];

        *m = message_of(s, &s->people[BOB], &r);
        m->observed = elsewhere(s, place);
    }
    kill(s->pid, SIGSTOP);
    for (unsigned i = 0; i < count; i++)
        pass(s, &messages[is_twice ? i / 2 : i], sizeof *messages);
    kill(s->pid, SIGCONT);
    for (unsigned i = 0; i < count; i++)
        opened += await_verdict(s) == VERDICT_OPENED;
    if (opened != (reversed ? 0 : PLACES))
        errx(1, "%u of %d were opened", opened, PLACES);
}

static void never_reading(struct stage *s)
{
    struct helper_request m = s->honest;
    ssize_t n = 0;

    m.observed = elsewhere(s, 1);
    for (int i = 0; i < STORM * 10 && n >= 0; i++)
        n = send(s->sniffer, &m, sizeof m, MSG_NOSIGNAL);
    if (n >= 0 || (errno != EPIPE && errno != ECONNRESET))
        errx(1, "the helper does not mind that nobody listens");
    expect_told(s);
}

/* From before the honest grant's end until its rules have gone. There is always
 * more in the socket than the helper takes at a time, for which this process needs
 * a processor of its own: one variant at a time. */
static void flood(struct stage *s)
{
    int64_t end = s->ends_before + (int64_t)LATE_MS * NSEC_PER_MSEC;
    struct helper_request m = s->variant == 0 ? s->honest : open_message(s, &s->people[ALICE]);
    struct helper_reply reply;
    unsigned sent = 0, answered = 0;

    setpriority(PRIO_PROCESS, 0, -20);
    m.observed = elsewhere(s, 1);
    if (s->variant == 1)
        m.signature.bytes[0] ^= 1; /* costs the helper a verification each */
    if (s->variant == 2)
        memcpy(m.key_id, s->people[MALLORY].key_id, KEY_ID_SIZE);
    while (clock_boot_ns() < end) {
        if (sent - answered == UNANSWERED_MAX)
            is_readable(s->sniffer, ANSWER_MS);
        else if (send(s->sniffer, &m, sizeof m, MSG_NOSIGNAL) > 0)
            sent++;
        else
            err(1, "the flood was cut off");
        while (recv(s->sniffer, &reply, sizeof reply, MSG_DONTWAIT) > 0) {
            answered++;
            if (reply.verdict == VERDICT_OPENED || reply.verdict == VERDICT_EXTENDED)
                errx(1, "the flood opened a port");
        }
    }
    if (answered < STORM / 2)
        errx(1, "only %u of %u were answered: no flood", answered, sent);
    if (!rules_are(s, s->empty))
        errx(1, "the flood held the door open");
}

/* ---- the acts of a witness ---------------------------------------------- */

/* Bob's door, which admits only so many connections. */
static enum verdict open_counting(struct stage *s, unsigned place)
{
    struct helper_request m = open_message(s, &s->people[BOB]);

    m.observed = elsewhere(s, place);
    return ask(s, &m);
}

/* Soon, whether the honest door is still open or not. */
static void expect_counting_shut(const struct stage *s)
{
    int64_t limit = clock_boot_ns() + (int64_t)ANSWER_MS * NSEC_PER_MSEC;
    char *found;

    while ((found = find_other_rule(s))) {
        if (clock_boot_ns() > limit)
            errx(1, "what nobody counts is still open: %s", found);
        free(found);
        poll(NULL, 0, EDGE_MS);
    }
}

static bool say(const struct stage *s, const void *bytes, size_t size)
{
    return send(s->witness, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* All that is no word, by its kind, and what is of another size. The helper hears no more. */
static void unsound_words(struct stage *s)
{
    static const uint8_t kinds[] = {0, WORD_LOOK + 1, 127, 128, 255, WORD_LOOK};
    static const size_t sizes_of_words[] = {1, 7, 9, 16, sizeof(struct helper_event), 100000};
    enum { KINDS = sizeof kinds };
    static uint8_t bytes[100000];
    struct helper_event unread;
    unsigned v = s->variant;

    open_counting(s, 1);
    bytes[0] = v < KINDS ? kinds[v] : WORD_LOOK;
    bytes[1] = v == KINDS - 1; /* what is to be zero */
    say(s, bytes, v < KINDS ? sizeof(struct witness_word) : sizes_of_words[v - KINDS]);
    while (recv(s->witness, &unread, sizeof unread, 0) > 0)
        ;
    expect_told(s);
    expect_counting_shut(s);
    open_counting(s, 2);
    expect_counting_shut(s);
}

/* Every word about the grants that there are, and about some that there are not. */
static void every_word(struct stage *s)
{
    for (unsigned kind = WORD_END; kind <= WORD_LOOK; kind++)
        for (uint32_t id = 0; id < 3; id++)
            for (uint32_t allowance = 0; allowance < 1 << 16; allowance++) {
                struct witness_word word = {.kind = (uint8_t)kind, .id = id,
                                            .allowance = (uint16_t)allowance};

                if (!say(s, &word, sizeof word))
                    err(1, "word %u about %u was not heard", kind, id);
                if (allowance == 1 && !rules_are(s, s->granted) && is_early(s))
                    errx(1, "a word has changed the rules");
            }
}

/* From before the honest grant's end until its rules have gone, as in flood(). */
static void word_flood(struct stage *s)
{
    int64_t end = s->ends_before + (int64_t)LATE_MS * NSEC_PER_MSEC;
    unsigned said = 0;

    setpriority(PRIO_PROCESS, 0, -20);
    while (clock_boot_ns() < end) {
        struct witness_word word = {.kind = (uint8_t)(WORD_END + s->variant), .id = said % 4};

        if (!say(s, &word, sizeof word))
            err(1, "the flood was cut off");
        said++;
    }
    if (said < STORM / 2)
        errx(1, "only %u words: no flood", said);
    if (!rules_are(s, s->empty))
        errx(1, "the flood held the door open");
}

/* The witness reads nothing until there is no more room, or has gone. Then nothing opens that
 * has to be counted. */
static void unread_events(struct stage *s)
{
    struct helper_request m = open_message(s, &s->people[MALLORY]);

    open_counting(s, 1);
    if (s->variant == 0)
        close(s->witness);
    for (unsigned i = 0; s->variant == 1 && i < STORM; i++)
        expect(s, &m, VERDICT_UNKNOWN_PROFILE);
    if (s->variant == 0)
        expect_counting_shut(s);
    open_counting(s, 2);
    expect_counting_shut(s);
}

static const struct act acts[] = {
    {"wrong-size", sizeof sizes / sizeof *sizes, 0, false, wrong_size},
    {"wrong-action", sizeof actions / sizeof *actions, 0, false, wrong_action},
    {"another-action", 2, 0, false, another_action},
    {"wrong-flag", 8, 0, false, wrong_flag},
    {"wrong-address", 7, 0, false, wrong_address},
    {"random-bytes", 8, 0, false, random_bytes},
    {"passed-descriptors", 6, 0, false, passed_descriptors},
    {"end-of-file", 8, 0, false, end_of_file},
    {"unsigned", 2, 0, false, unsigned_requests},
    {"wrongly-signed", 1, 0, false, wrongly_signed_requests},
    {"replays", 1, 0, false, replays},
    {"in-one-batch", 3, 0, false, in_one_batch},
    {"never-reading", 1, 0, false, never_reading},
    {"flood", 3, 1, false, flood},
    {"unsound-words", 12, 0, true, unsound_words},
    {"every-word", 1, 0, false, every_word},
    {"word-flood", 3, 1, false, word_flood},
    {"unread-events", 2, 0, true, unread_events},
};

enum { ACTS = sizeof acts / sizeof *acts };

/* ---- running them ------------------------------------------------------- */

static void start_variant(const struct stage *s, const struct act *act)
{
    pid_t child = fork();

    if (child < 0)
        err(1, "fork");
    if (child == 0) {
        struct stage own = *s;

        own.counts = act->counts;
        play(&own, act);
        exit(EXIT_SUCCESS);
    }
}

static bool await_variant(void)
{
    int status = 0;

    return wait(&status) > 0 && status == 0;
}

static int play_all(struct stage *s, const struct act *act)
{
    unsigned together = act->together ? act->together : PARALLEL, running = 0, failed = 0;

    for (s->variant = 0; s->variant < act->variants; s->variant++) {
        if (running == together) {
            failed += !await_variant();
            running--;
        }
        start_variant(s, act);
        running++;
    }
    for (; running > 0; running--)
        failed += !await_variant();
    if (failed)
        warnx("%s: %u of %u variants failed", act->name, failed, act->variants);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int print_acts(void)
{
    for (size_t i = 0; i < ACTS; i++)
        puts(acts[i].name);
    return EXIT_SUCCESS;
}

/* A copy of the descriptor by which the sniffer speaks to the helper. */
static int sniffer_socket(pid_t pid)
{
    enum { FD_HELPER = 4 }; /* sniffer.c */
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, FD_HELPER, 0);

    if (fd < 0)
        err(1, "cannot take the socket of process %ld", (long)pid);
    return fd;
}

static int speak_through(pid_t pid, const char *kind)
{
    const struct request r = {.action = ACTION_OPEN};
    struct helper_request m = {0};
    size_t size = strcmp(kind, "size") == 0 ? 17 : sizeof m;

    address_parse(&m.observed, "192.0.2.7");
    request_encode(m.request, &r);
    if (strcmp(kind, "action") == 0)
        m.request[ACTION] = 77;
    if (strcmp(kind, "random") == 0)
        fill_at_random(&m, sizeof m, 0);
    if (send(sniffer_socket(pid), &m, size, MSG_NOSIGNAL) != (ssize_t)size)
        err(1, "send");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct stage stage = {0};

    if (sodium_init() < 0)
        errx(1, "libsodium");
    if (argc == 2 && strcmp(argv[1], "acts") == 0)
        return print_acts();
    if (argc == 4 && strcmp(argv[1], "through") == 0)
        return speak_through((pid_t)atoi(argv[2]), argv[3]);
    if (argc == 5) {
        stage.prepare = argv[1];
        stage.backend = strcmp(argv[2], "nft") == 0 ? BACKEND_NFT : BACKEND_LEGACY;
        stage.family = atoi(argv[3]);
        for (size_t i = 0; i < ACTS; i++)
            if (strcmp(argv[4], acts[i].name) == 0)
                return play_all(&stage, &acts[i]);
    }
    fprintf(stderr, "usage: hostile PREPARE nft|legacy 4|6 ACT\n"
                    "       hostile acts | hostile through PID size|action|random\n");
    return 2;
}
