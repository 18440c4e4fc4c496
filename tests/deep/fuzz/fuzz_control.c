/* Whoever connects to the control socket, and what they send: a row of steps of four
 * bytes, what is done, by whom, and two for that. What the request of a step is comes
 * from the bytes that follow it. */
#include "fuzz.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/clock.h"
#include "daemon/supervisor/control.h"

enum { STEPS_MAX = 64, GROUP = 4242, NOBODY = 65534, CALLERS = 24 };

/* What is done, of `what % ACTIONS`. */
enum { COME, SEND, SEND_RIGHT, SERVE, ANSWER, ASK, GO, WAIT, ACTIONS };

/* As who, of `who % KINDS`. */
enum { ROOT, MEMBER, STRANGER, KINDS };

struct step {
    uint8_t what, who, value, more;
};

static struct {
    struct config config;
    struct control control;
    int callers[CALLERS]; /* their ends; -1 */
    int64_t ahead;        /* of the clock, nanoseconds */
} world;

int64_t __wrap_clock_boot_ns(void);
int64_t __real_clock_boot_ns(void);

int64_t __wrap_clock_boot_ns(void)
{
    return __real_clock_boot_ns() + world.ahead;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    fuzz_enter();
    strcpy(world.config.run_directory, "/run");
    world.config.control_gid = GROUP;
    for (size_t i = 0; i < CALLERS; i++)
        world.callers[i] = -1;
    return 0;
}

static void become(unsigned kind)
{
    const gid_t group = GROUP;

    if (kind == ROOT)
        return;
    /* In a group besides its own, or only in its own. */
    REQUIRE(setgroups(kind == MEMBER, &group) == 0);
    REQUIRE(setegid(NOBODY) == 0 && seteuid(NOBODY) == 0);
}

static void be_root_again(void)
{
    REQUIRE(seteuid(0) == 0 && setegid(0) == 0 && setgroups(0, NULL) == 0);
}

static void come(size_t place, unsigned kind)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/run/" CONTROL_SOCKET};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    REQUIRE(fd >= 0);
    become(kind);
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0)
        REQUIRE(kind != ROOT || errno == EAGAIN); /* too many wait */
    be_root_again();
    if (world.callers[place] >= 0)
        close(world.callers[place]);
    world.callers[place] = fd;
}

static struct control_request right_request(const struct step *step)
{
    struct control_request request = {.verb = step->value % (CONTROL_REVOKE + 2u)};

    request.scope = step->more % 4;
    request.kill = step->more / 4 % 2;
    request.id = step->more / 8 % 4;
    if (step->more & 32)
        strcpy(request.profile, "laptop");
    return request;
}

static void send_some(size_t place, const struct step *step, struct input *in)
{
    struct control_request request = {.verb = 0};
    uint8_t bytes[sizeof request + 1] = {0};

    if (step->what % ACTIONS == SEND_RIGHT) {
        request = right_request(step);
    } else {
        input_take(in, &request, step->value % (sizeof request + 1));
    }
    memcpy(bytes, &request, sizeof request);
    if (world.callers[place] >= 0)
        send(world.callers[place], bytes, sizeof request + (step->who == 255),
             MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Who waits has asked what portsmithctl can ask; members do not take root's places. */
static void check_clients(void)
{
    struct control_client *next = control_next(&world.control);
    unsigned members = 0, count = 0;

    for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
        const struct control_client *client = &world.control.clients[i];

        if (client->fd < 0)
            continue;
        count++;
        members += !client->is_root;
        REQUIRE(client->until > 0 && client->until >= control_next_end(&world.control));
        REQUIRE(client->state == CONTROL_SILENT ||
                control_request_is_canonical(&client->request));
        REQUIRE(client->state != CONTROL_WAITS || next);
        REQUIRE(world.control.is_shared || client->is_root);
    }
    REQUIRE(members <= CONTROL_MEMBERS);
    REQUIRE((count == 0) == (control_next_end(&world.control) == 0));
    REQUIRE(!next || next->state == CONTROL_WAITS);
}

static void answer(const struct step *step)
{
    static const struct control_reply reply = {.verb = CONTROL_STATUS, .result = CONTROL_DONE};
    struct control_client *client = control_next(&world.control);

    if (step->value % 3 == 0)
        control_ask_again(&world.control);
    else if (client && step->what % ACTIONS == ASK)
        client->state = CONTROL_ASKED;
    else if (client)
        control_reply(client, &reply);
}

static void go(size_t place)
{
    if (world.callers[place] >= 0)
        close(world.callers[place]);
    world.callers[place] = -1;
}

static void take_step(const struct step *step, struct input *in)
{
    size_t place = step->more % CALLERS;

    switch (step->what % ACTIONS) {
    case COME:
        come(place, step->who % KINDS);
        break;
    case SEND:
    case SEND_RIGHT:
        send_some(step->who % CALLERS, step, in);
        break;
    case SERVE:
        control_serve(&world.control);
        break;
    case ANSWER:
    case ASK:
        answer(step);
        break;
    case GO:
        go(place);
        break;
    case WAIT:
        world.ahead += (int64_t)step->value * NSEC_PER_SEC / 4;
        break;
    }
}

/* The first byte says whether the socket is shared with a group. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct pollfd fds[CONTROL_FDS];
    struct input in = {bytes, size};
    struct error why;
    struct step step;

    strcpy(world.config.control_group, input_byte(&in) % 2 ? "operators" : "");
    world.ahead = 0;
    REQUIRE(control_open(&world.control, &world.config, &why));
    for (int i = 0; i < STEPS_MAX && in.size > 0; i++) {
        input_take(&in, &step, sizeof step);
        take_step(&step, &in);
        check_clients();
    }
    REQUIRE(control_poll(&world.control, fds) == CONTROL_FDS && fds[0].fd >= 0);
    control_close(&world.control);
    for (size_t i = 0; i < CALLERS; i++)
        go(i);
    return 0;
}
