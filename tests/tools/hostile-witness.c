/* Takes the place of portsmith-witness in a whole daemon, with all that a witness is given, and
 * less confined than one: it has no filter of system calls. What it is to do it reads from
 * /run/lab/witness, a FIFO: an act a line. It tells on standard error, which is the daemon's log,
 * what it did and what the kernel let it do.
 *
 *   ends        has each grant that admits any number of connections ended, with every allowance;
 *               and as many that there are not
 *   words S     sound words at random, as fast as they are taken, for S seconds
 *   looks S     the same, but that somebody changed nftables
 *   unsound N   the Nth message that is no word
 *   descriptor  a word with a descriptor
 *   questions S questions to the supervisor, whose answers nobody reads, for S seconds
 *   nonsense    a message to the supervisor that is no question
 *   scribble    fills the file of uses at random, then cuts it
 *   powers      what only others may do
 *
 *   stay        does not end with its supervisor
 *
 * It reads nothing that it is told but the first message, and ends with its supervisor. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/privilege/powerless.h"
#include "privsep/event.h"
#include "privsep/granttable.h"
#include "privsep/witnessmessage.h"

enum {
    ALLOWANCES = 1 << 16, /* all that a word can name */
    GRANTS_MOST = 64,     /* in these tests */
    LINE_SIZE = 80,
};

/* ---- words to the helper ------------------------------------------------ */

/* Waits as long as the helper does not take it. False once the helper hears nothing any more. */
static bool say(const void *bytes, size_t size)
{
    return send(WITNESS_FD_HELPER, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* The grants that admit any number of connections, and how many they are. */
static size_t read_grants(uint32_t ids[static GRANTS_MOST])
{
    struct granttable head;
    struct grant grant;
    size_t count = 0;

    if (pread(WITNESS_FD_GRANTS, &head, sizeof head, 0) != sizeof head)
        err(1, "the table of grants");
    for (uint32_t i = 0; i < head.capacity && count < GRANTS_MOST; i++) {
        off_t at = (off_t)(sizeof head + i * sizeof grant);

        if (pread(WITNESS_FD_GRANTS, &grant, sizeof grant, at) != sizeof grant)
            break;
        if (grant.id != 0 && grant.connections == 0)
            ids[count++] = grant.id;
    }
    return count;
}

static void end_all(unsigned ignored)
{
    uint32_t ids[GRANTS_MOST];
    size_t count = read_grants(ids);
    unsigned said = 0;

    (void)ignored;
    if (count == 0)
        errx(1, "there is no grant that should live on");
    for (uint32_t allowance = 0; allowance < ALLOWANCES; allowance++)
        for (size_t i = 0; i < 2 * count; i++) {
            struct witness_word word = {.kind = WORD_END, .allowance = (uint16_t)allowance,
                                        .id = i < count ? ids[i] : randombytes_random()};

            said += say(&word, sizeof word);
        }
    warnx("ends: %u words were taken, about %zu grants", said, count);
}

static void flood(unsigned seconds, bool looks_alone)
{
    int64_t end = clock_boot_ns() + seconds * (int64_t)NSEC_PER_SEC;
    uint32_t ids[GRANTS_MOST];
    size_t count = read_grants(ids);
    unsigned said = 0;

    while (clock_boot_ns() < end) {
        struct witness_word word = {.kind = WORD_LOOK, .id = randombytes_random()};

        if (!looks_alone) {
            word.kind = (uint8_t)(WORD_END + randombytes_uniform(WORD_LOOK));
            word.allowance = (uint16_t)randombytes_random();
            if (count > 0 && word.kind == WORD_END)
                word.id = ids[randombytes_uniform((uint32_t)count)];
        }
        if (!say(&word, sizeof word))
            errx(1, "the helper hears no sound word any more");
        said++;
    }
    warnx("%s: %u words were taken", looks_alone ? "looks" : "words", said);
}

static void say_words(unsigned seconds)
{
    flood(seconds, false);
}

static void say_looks(unsigned seconds)
{
    flood(seconds, true);
}

/* With a word that is sound. */
static void pass_descriptor(unsigned ignored)
{
    struct witness_word word = {.kind = WORD_LOOK};
    struct iovec part = {.iov_base = &word, .iov_len = sizeof word};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                            .msg_controllen = sizeof control};
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);
    const int fd = STDERR_FILENO;

    (void)ignored;
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(first), &fd, sizeof fd);
    if (sendmsg(WITNESS_FD_HELPER, &header, MSG_NOSIGNAL) < 0)
        err(1, "a descriptor cannot be passed");
}

static void say_unsound(unsigned variant)
{
    static const struct witness_word words[] = {{.kind = 0}, {.kind = WORD_LOOK + 1},
                                                {.kind = 255, .id = 1},
                                                {.kind = WORD_LOOK, .zero = 1}};
    static const size_t sizes[] = {0, 1, 7, 9, 16, sizeof(struct helper_event), 100000};
    enum { WORDS = sizeof words / sizeof *words, SIZES = sizeof sizes / sizeof *sizes };
    static const uint8_t nothing[100000] = {WORD_LOOK};
    bool is_said;

    if (variant >= WORDS + SIZES)
        errx(1, "there are no more");
    is_said = variant < WORDS ? say(&words[variant], sizeof *words)
                              : say(nothing, sizes[variant - WORDS]);
    warnx("unsound: %u was %s", variant, is_said ? "said" : "not to be said");
}

/* ---- the supervisor ----------------------------------------------------- */

static void ask(unsigned seconds)
{
    int64_t end = clock_boot_ns() + seconds * (int64_t)NSEC_PER_SEC;
    unsigned asked = 0, refused = 0;

    while (clock_boot_ns() < end) {
        struct witness_question question = {.id = asked % 2 ? asked : randombytes_random()};

        if (send(WITNESS_FD_SUPERVISOR, &question, sizeof question, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
            asked++;
        else if (errno == EAGAIN)
            refused++;
        else
            err(1, "the supervisor hears no question any more");
    }
    warnx("questions: %u were taken, %u were not", asked, refused);
}

static void talk_nonsense(unsigned ignored)
{
    (void)ignored;
    send(WITNESS_FD_SUPERVISOR, "nonsense", 8, MSG_NOSIGNAL);
}

/* ---- files, and the kernel ---------------------------------------------- */

static void scribble(unsigned ignored)
{
    struct stat s;

    (void)ignored;
    if (fstat(WITNESS_FD_USES, &s) != 0 || s.st_size == 0)
        err(1, "the file of uses");
    for (off_t at = 0; at < s.st_size; at += LINE_SIZE) {
        uint8_t bytes[LINE_SIZE];

        randombytes_buf(bytes, sizeof bytes);
        if (pwrite(WITNESS_FD_USES, bytes, sizeof bytes, at) < 0)
            err(1, "the file of uses");
    }
    warnx("scribble: all is written over");
    if (ftruncate(WITNESS_FD_USES, 1) != 0)
        warn("scribble: not cut");
}

/* What the kernel answers a message on a socket of netlink; 0: it did as it was told. */
static int ask_kernel(int fd, uint16_t type, uint16_t flags)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg family;
    } message = {{sizeof message, type, (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags), 77, 0},
                 {AF_INET, NFNETLINK_V0, 0}};
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char answer[8192];

    if (send(fd, &message, sizeof message, 0) < 0)
        return errno;
    while (poll(&readable, 1, 1000) == 1) {
        ssize_t n = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
        const struct nlmsghdr *header = (const struct nlmsghdr *)answer;

        if (n < (ssize_t)sizeof *header || header->nlmsg_seq != 77)
            continue;
        if (header->nlmsg_type == NLMSG_ERROR)
            return -((const struct nlmsgerr *)NLMSG_DATA(header))->error;
        return 0;
    }
    return ETIMEDOUT;
}

static void tell_power(const char *power, bool is_had)
{
    warnx("powers: %s: %s", power, is_had ? "DONE" : "refused");
}

static void try_powers(unsigned ignored)
{
    const int group = NFNLGRP_CONNTRACK_NEW;
    uint32_t zero = 0;

    (void)ignored;
    tell_power("to write into the table of grants", pwrite(WITNESS_FD_GRANTS, &zero, 4, 0) >= 0);
    tell_power("to map it for writing", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
                                             WITNESS_FD_GRANTS, 0) != MAP_FAILED);
    tell_power("to cut it", ftruncate(WITNESS_FD_GRANTS, 0) == 0);
    tell_power("to forbid it to others", fchmod(WITNESS_FD_GRANTS, 0) == 0);
    tell_power("to write into the plan", pwrite(WITNESS_FD_PLAN, &zero, 4, 0) >= 0);
    tell_power("to map it for writing", mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
                                             WITNESS_FD_PLAN, 0) != MAP_FAILED);
    tell_power("to cut it", ftruncate(WITNESS_FD_PLAN, 0) == 0);
    tell_power("to ask for connections",
               ask_kernel(WITNESS_FD_NEWS, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET,
                          NLM_F_DUMP) == 0);
    tell_power("to forget connections",
               ask_kernel(WITNESS_FD_NEWS, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
                          0) == 0);
    tell_power("to hear other news", setsockopt(WITNESS_FD_NEWS, SOL_NETLINK,
                                                NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0);
    tell_power("to be root again", setuid(0) == 0);
    tell_power("to leave its directory", chroot(".") == 0);
    tell_power("to end its supervisor", kill(getppid(), 0) == 0);
    warnx("powers: all were tried");
}

/* ---- doing as it is told ------------------------------------------------ */

static void stay(unsigned ignored)
{
    (void)ignored;
    for (;;)
        poll(NULL, 0, -1);
}

static const struct act {
    const char *name;
    void (*play)(unsigned number);
} acts[] = {
    {"ends", end_all},
    {"words", say_words},
    {"looks", say_looks},
    {"unsound", say_unsound},
    {"descriptor", pass_descriptor},
    {"questions", ask},
    {"nonsense", talk_nonsense},
    {"scribble", scribble},
    {"powers", try_powers},
    {"stay", stay},
};

static void obey(char *line)
{
    char *number = line;
    const char *name = strsep(&number, " \n");

    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(name, acts[i].name) == 0) {
            acts[i].play(number ? (unsigned)strtoul(number, NULL, 10) : 0);
            return;
        }
    errx(1, "there is no act '%s'", name);
}

/* Acts until the supervisor hangs up. Orders are written line by line. */
static void serve(int orders)
{
    struct pollfd fds[] = {{.fd = WITNESS_FD_SUPERVISOR, .events = 0},
                           {.fd = orders, .events = POLLIN}};
    char line[LINE_SIZE];

    while (poll(fds, 2, -1) >= 0 && !fds[0].revents) {
        ssize_t n = fds[1].revents ? read(orders, line, sizeof line - 1) : 0;

        if (n > 0) {
            line[n] = '\0';
            obey(line);
        }
    }
}

int main(void)
{
    int orders = open("/run/lab/witness", O_RDWR | O_CLOEXEC);
    struct witness_setup setup;
    struct error why;

    signal(SIGTERM, SIG_IGN);
    if (orders < 0 || sodium_init() < 0 ||
        recv(WITNESS_FD_SUPERVISOR, &setup, sizeof setup, 0) != sizeof setup)
        err(1, "a hostile witness cannot begin");
    if (!powerless_become(setup.empty, setup.uid, setup.gid, &why))
        errx(1, "a hostile witness cannot begin: %s", why.text);
    warnx("a hostile witness has begun");
    serve(orders);
    return EXIT_SUCCESS;
}
