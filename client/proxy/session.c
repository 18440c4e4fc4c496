#include "client/proxy/session.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "client/proxy/dial.h"
#include "client/proxy/socks.h"
#include "client/proxy/visitor.h"
#include "common/log.h"

enum {
    FLOW_SIZE = 16384,      /* bytes that are held in each direction */
    LINGER_MS = 2000,       /* the time that a client has to read how its request ended */
    KEEPALIVE_SECONDS = 60, /* how long a peer is silent before it is asked whether it is there */
};

/* One direction. */
struct flow {
    uv_stream_t *from, *to;
    uv_write_t write;
    uv_shutdown_t shutdown;
    bool is_over; /* the receiver was told that no more comes */
    size_t held;  /* how many of `bytes` are read, and not written yet */
    char bytes[FLOW_SIZE];
};

struct session {
    struct session *older, **link; /* `link` is the pointer to this one */
    struct session_shared *shared;
    enum {
        SHAKING_HANDS,
        FINDING_A_WAY,
        RELAYING,
        TURNING_AWAY, /* what the client still sends is read and dropped */
        ENDING,
    } phase;
    unsigned references;  /* how many handles and requests libuv has not given back */
    bool client_is_local; /* it comes from this machine's loopback */

    uv_tcp_t client;
    uv_tcp_t *remote;    /* owned, from malloc; NULL until RELAYING */
    uv_timer_t timer;    /* for the present phase */
    uint64_t last_heard; /* when either side last sent or took bytes, uv_now */

    struct socks socks;
    uv_getaddrinfo_t lookup;
    bool is_looking_up;
    struct gate *gate; /* the gate that is in use; NULL: none is */
    struct gate_waiter waiter;
    uint64_t began; /* when the request was complete, uv_now */
    struct dial dial;
    struct flow up, down;
};

static void take_handshake(struct session *s);

/* ---- the end ------------------------------------------------------------- */

static void release(struct session *s)
{
    struct session_shared *shared = s->shared;

    if (--s->references > 0)
        return;
    free(s);
    shared->count--;
    shared->one_ended(shared);
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static struct session *session_of_dial(struct dial *dial)
{
    return (struct session *)((char *)dial - offsetof(struct session, dial));
}

static void on_dial_closed(uv_handle_t *timer)
{
    release(session_of_dial(timer->data));
}

static void on_remote_closed(uv_handle_t *handle)
{
    struct session *s = handle->data;

    free(handle);
    release(s);
}

static void leave_gate(struct session *s)
{
    gate_forget(&s->waiter);
    if (s->gate)
        gate_leave(s->gate);
    s->gate = NULL;
}

static void enlist(struct session *s)
{
    s->link = &s->shared->sessions;
    s->older = *s->link;
    if (s->older)
        s->older->link = &s->older;
    *s->link = s;
}

static void delist(struct session *s)
{
    *s->link = s->older;
    if (s->older)
        s->older->link = s->link;
}

static void session_end(struct session *s)
{
    if (s->phase == ENDING)
        return;
    s->phase = ENDING;
    delist(s);
    socks_end(&s->socks);
    leave_gate(s);
    dial_stop(&s->dial);
    if (s->is_looking_up)
        uv_cancel((uv_req_t *)&s->lookup); /* if that fails, the result is passed over */
    if (!uv_is_closing((uv_handle_t *)&s->client))
        uv_close((uv_handle_t *)&s->client, on_closed);
    if (s->remote && !uv_is_closing((uv_handle_t *)s->remote))
        uv_close((uv_handle_t *)s->remote, on_remote_closed);
    uv_close((uv_handle_t *)&s->timer, on_closed);
    uv_close((uv_handle_t *)&s->dial.timer, on_dial_closed);
}

/* Resets the connections, so that neither side takes what was cut off for complete. libuv
 * resets none that is being shut down; all bytes before the shutdown were sent. */
static void session_abort(struct session *s)
{
    if (s->phase == ENDING)
        return;
    (void)uv_tcp_close_reset(&s->client, on_closed);
    if (s->remote)
        (void)uv_tcp_close_reset(s->remote, on_remote_closed);
    session_end(s);
}

void session_end_all(struct session_shared *shared)
{
    struct session *s, *next;

    for (s = shared->sessions; s; s = next) {
        next = s->older;
        session_abort(s);
    }
}

/* ---- turning away -------------------------------------------------------- */

static void end_on_timer(uv_timer_t *timer)
{
    session_end(timer->data);
}

static void arm(struct session *s, uv_timer_cb then, uint64_t ms)
{
    uv_timer_start(&s->timer, then, ms, 0);
}

/* Sends the reply at once. All that a client gets before the relaying fits into any socket's
 * buffer. */
static bool send_reply(struct session *s)
{
    uv_buf_t reply = uv_buf_init((char *)s->socks.reply, (unsigned)s->socks.reply_size);

    return uv_try_write((uv_stream_t *)&s->client, &reply, 1) == (int)s->socks.reply_size;
}

static void client_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct session *s = handle->data;

    (void)suggested;
    *buffer = uv_buf_init(s->up.bytes, FLOW_SIZE);
}

static void on_dropped(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    (void)buffer;
    if (size < 0)
        session_end(stream->data);
}

static void after_farewell(uv_shutdown_t *request, int status)
{
    (void)request, (void)status;
}

/* Sends the reply and closes, but not before the client had time to read the reply. If a socket is
 * closed while it has bytes unread, the kernel sends a reset (tcp(7)), and the client may lose the
 * reply. */
static void turn_away(struct session *s)
{
    leave_gate(s);
    dial_stop(&s->dial);
    s->phase = TURNING_AWAY;
    arm(s, end_on_timer, LINGER_MS);
    uv_read_stop((uv_stream_t *)&s->client);
    if (!send_reply(s) ||
        uv_shutdown(&s->up.shutdown, (uv_stream_t *)&s->client, after_farewell) != 0 ||
        uv_read_start((uv_stream_t *)&s->client, client_buffer, on_dropped) != 0)
        session_end(s);
}

static void turn_away_with(struct session *s, enum socks_code code)
{
    socks_reply(&s->socks, code);
    turn_away(s);
}

/* ---- relaying ------------------------------------------------------------ */

static struct flow *flow_of(struct session *s, const void *stream)
{
    return stream == (void *)&s->client ? &s->up : &s->down;
}

static void flow_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct session *s = handle->data;

    (void)suggested;
    *buffer = uv_buf_init(flow_of(s, handle)->bytes, FLOW_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer);

static void after_shutdown(uv_shutdown_t *request, int status)
{
    struct session *s = request->data;
    struct flow *flow = request == &s->up.shutdown ? &s->up : &s->down;

    if (s->phase == ENDING)
        return;
    if (status != 0) {
        session_abort(s);
        return;
    }
    flow->is_over = true;
    if (s->up.is_over && s->down.is_over)
        session_end(s);
}

static void after_write(uv_write_t *request, int status)
{
    struct session *s = request->data;
    struct flow *flow = request == &s->up.write ? &s->up : &s->down;

    if (s->phase == ENDING)
        return;
    flow->held = 0;
    s->last_heard = uv_now(s->shared->loop);
    if (status != 0 || uv_read_start(flow->from, flow_buffer, on_read) != 0)
        session_abort(s);
}

/* Writes what is held. Until the receiver has taken all of it, nothing more is read, so that
 * the sender meets a full window. */
static void flow_write(struct session *s, struct flow *flow)
{
    uv_buf_t buffer = uv_buf_init(flow->bytes, (unsigned)flow->held);
    int written = uv_try_write(flow->to, &buffer, 1);

    if (written < 0 && written != UV_EAGAIN) {
        session_abort(s);
        return;
    }
    if (written > 0) {
        buffer.base += written;
        buffer.len -= (size_t)written;
    }
    if (buffer.len == 0) {
        flow->held = 0;
        return;
    }
    uv_read_stop(flow->from);
    if (uv_write(&flow->write, flow->to, &buffer, 1, after_write) != 0)
        session_abort(s);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct session *s = stream->data;
    struct flow *flow = flow_of(s, stream);

    (void)buffer;
    s->last_heard = uv_now(s->shared->loop);
    if (size > 0) {
        flow->held = (size_t)size;
        flow_write(s, flow);
    } else if (size == UV_EOF) {
        if (uv_shutdown(&flow->shutdown, flow->to, after_shutdown) != 0)
            session_abort(s);
    } else if (size < 0) {
        session_abort(s);
    }
}

static void on_idle(uv_timer_t *timer)
{
    struct session *s = timer->data;
    uint64_t limit = s->shared->config->idle_timeout * UINT64_C(1000);
    uint64_t idle = uv_now(s->shared->loop) - s->last_heard;

    if (idle >= limit)
        session_abort(s);
    else
        arm(s, on_idle, limit - idle);
}

static void flow_begin(struct session *s, struct flow *flow, void *from, void *to)
{
    flow->from = from;
    flow->to = to;
    flow->write.data = flow->shutdown.data = s;
    if (flow->held > 0)
        flow_write(s, flow);
    /* What could not be written at once goes on in after_write. */
    if (s->phase == RELAYING && flow->held == 0 &&
        uv_read_start(flow->from, flow_buffer, on_read) != 0)
        session_abort(s);
}

static void relay(struct session *s, uv_tcp_t *remote)
{
    s->phase = RELAYING;
    s->remote = remote;
    s->references++;
    remote->data = s;
    uv_tcp_nodelay(remote, 1);
    uv_tcp_keepalive(remote, 1, KEEPALIVE_SECONDS);
    s->last_heard = uv_now(s->shared->loop);
    arm(s, on_idle, s->shared->config->idle_timeout * UINT64_C(1000));
    socks_reply(&s->socks, SOCKS_GRANTED);
    if (!send_reply(s)) {
        session_abort(s);
        return;
    }
    flow_begin(s, &s->up, &s->client, remote);
    if (s->phase == RELAYING)
        flow_begin(s, &s->down, remote, &s->client);
}

/* ---- finding a way ------------------------------------------------------- */

static enum socks_code code_of(int error)
{
    switch (error) {
    case UV_ECONNREFUSED:
        return SOCKS_REFUSED;
    case UV_ENETUNREACH:
        return SOCKS_NETWORK_UNREACHABLE;
    case UV_EHOSTUNREACH:
    case UV_ETIMEDOUT:
        return SOCKS_HOST_UNREACHABLE;
    default:
        return SOCKS_FAILURE;
    }
}

static void on_no_way(uv_timer_t *timer)
{
    struct session *s = timer->data;

    turn_away_with(s, s->dial.error ? code_of(s->dial.error) : SOCKS_HOST_UNREACHABLE);
}

static void on_silent(struct dial *dial)
{
    struct session *s = session_of_dial(dial);

    gate_prod(s->gate, s->began);
}

static void on_dialled(struct dial *dial, uv_tcp_t *tcp)
{
    struct session *s = session_of_dial(dial);

    if (tcp)
        relay(s, tcp);
    else
        turn_away_with(s, code_of(dial->error));
}

static bool find_source(struct dial *dial, const struct target *to, struct address *source)
{
    return gate_source(session_of_dial(dial)->gate, to, source);
}

/* Whether the client may reach all of the dial's targets. A client from elsewhere must not
 * reach what listens on this machine's loopback. */
static bool may_be_reached(const struct session *s)
{
    static const uint8_t unspecified[16];
    struct address to;

    for (unsigned i = 0; i < s->dial.count && !s->client_is_local; i++) {
        const struct sockaddr *address = (const struct sockaddr *)&s->dial.targets[i].to;

        if (proxyconf_is_loopback(address) || !address_from_sockaddr(&to, address) ||
            memcmp(to.bytes, unspecified, sizeof unspecified) == 0 ||
            (address_is_ipv4(&to) && to.bytes[12] == 0))
            return false;
    }
    return true;
}

static void dial_out(struct session *s)
{
    const struct destination *to = &s->socks.destination;

    if (s->dial.count == 0) /* the server was named, so all of its addresses will do */
        for (unsigned i = 0; i < s->gate->count; i++)
            dial_add(&s->dial, (const struct sockaddr *)&s->gate->targets[i].to, to->port);
    for (unsigned i = 0; s->gate && i < s->dial.count; i++) {
        const struct server *server = s->gate->server;
        uint16_t service = server_service_port(server, to->port);

        target_set_port(&s->dial.targets[i], server_connect_port(server, service));
    }
    if (!may_be_reached(s)) {
        turn_away_with(s, SOCKS_NOT_ALLOWED);
        return;
    }
    s->dial.again = s->gate != NULL;
    s->dial.find_source = s->gate ? find_source : NULL;
    s->dial.silent = on_silent;
    s->dial.done = on_dialled;
    dial_start(&s->dial, s->gate ? gate_delay(s->gate) : 0);
}

static struct session *session_of_waiter(struct gate_waiter *waiter)
{
    return (struct session *)((char *)waiter - offsetof(struct session, waiter));
}

static void on_knocked(struct gate_waiter *waiter, enum gate_outcome outcome)
{
    struct session *s = session_of_waiter(waiter);

    if (outcome == GATE_DONE)
        dial_out(s);
    else
        turn_away_with(s, outcome == GATE_NO_ADDRESS ? SOCKS_HOST_UNREACHABLE
                : outcome == GATE_NO_ROUTE ? SOCKS_NETWORK_UNREACHABLE
                                           : SOCKS_FAILURE);
}

/* Connects through the gate or, if there is none and that is allowed, directly. */
static void go_through(struct session *s, struct gate *gate)
{
    if (!gate && s->shared->config->refuses_others) {
        turn_away_with(s, SOCKS_NOT_ALLOWED);
        return;
    }
    s->gate = gate;
    s->waiter.done = on_knocked;
    if (!gate || gate_enter(gate, &s->waiter))
        dial_out(s);
}

static void find_gate_of_addresses(struct session *s);

static void on_addresses(struct gate_waiter *waiter, enum gate_outcome outcome)
{
    (void)outcome; /* if no address was found, the destination is none of that server's */
    find_gate_of_addresses(session_of_waiter(waiter));
}

/* Finds the server that has one of the dial's addresses, and goes through its gate. */
static void find_gate_of_addresses(struct session *s)
{
    const struct gates *gates = s->shared->gates;
    struct gate *unresolved = gates_unresolved(gates), *gate = NULL;
    struct address to;

    for (unsigned i = 0; i < s->dial.count && !gate; i++)
        if (address_from_sockaddr(&to, (const struct sockaddr *)&s->dial.targets[i].to))
            gate = gates_by_address(gates, &to, s->socks.destination.port);
    if (!gate && unresolved) {
        s->waiter.done = on_addresses;
        gate_await_addresses(unresolved, &s->waiter);
        return;
    }
    if (!gate)
        gates_refresh(gates);
    go_through(s, gate);
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct session *s = request->data;

    s->is_looking_up = false;
    if (s->phase == FINDING_A_WAY) {
        for (const struct addrinfo *info = found; info; info = info->ai_next)
            dial_add(&s->dial, info->ai_addr, s->socks.destination.port);
        if (status == 0 && s->dial.count > 0)
            find_gate_of_addresses(s);
        else
            turn_away_with(s, SOCKS_HOST_UNREACHABLE);
    }
    uv_freeaddrinfo(found);
    release(s);
}

static void look_up(struct session *s)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    s->lookup.data = s;
    if (uv_getaddrinfo(s->shared->loop, &s->lookup, on_looked_up, s->socks.destination.name, NULL,
                       &hints) != 0) {
        turn_away_with(s, SOCKS_HOST_UNREACHABLE); /* nothing can have such a name */
        return;
    }
    s->is_looking_up = true;
    s->references++;
}

static void find_way(struct session *s)
{
    const struct destination *to = &s->socks.destination;
    char text[ADDRESS_TEXT_SIZE];
    struct gate *gate;

    s->phase = FINDING_A_WAY;
    s->began = uv_now(s->shared->loop);
    uv_read_stop((uv_stream_t *)&s->client);
    arm(s, on_no_way, s->shared->config->connect_timeout * UINT64_C(1000));
    gate = gates_by_name(s->shared->gates,
                         to->has_address ? address_format(&to->address, text) : to->name,
                         to->port);
    if (to->has_address)
        dial_add_address(&s->dial, &to->address, to->port);
    if (gate)
        go_through(s, gate);
    else if (to->has_address)
        find_gate_of_addresses(s);
    else if (s->shared->config->refuses_others && s->shared->gates->count == 0)
        turn_away_with(s, SOCKS_NOT_ALLOWED);
    else
        look_up(s);
}

/* ---- shaking hands ------------------------------------------------------- */

static void on_handshake(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct session *s = stream->data;

    (void)buffer;
    if (size < 0) {
        session_end(s);
        return;
    }
    s->up.held = (size_t)size;
    take_handshake(s);
}

/* Takes the bytes that are held. Those behind the request stay, as they are meant for the far
 * end. */
static void take_handshake(struct session *s)
{
    enum socks_verdict verdict = SOCKS_ANSWER;
    size_t taken = 0;

    while (verdict == SOCKS_ANSWER) {
        taken += socks_take(&s->socks, (const uint8_t *)s->up.bytes + taken, s->up.held - taken,
                            &verdict);
        if (verdict == SOCKS_ANSWER && !send_reply(s))
            verdict = SOCKS_BROKEN;
    }
    s->up.held -= taken;
    memmove(s->up.bytes, s->up.bytes + taken, s->up.held);
    if (verdict == SOCKS_REQUESTED)
        find_way(s);
    else if (verdict == SOCKS_GOODBYE)
        turn_away(s);
    else if (verdict == SOCKS_BROKEN)
        session_end(s);
}

static struct session *session_new(struct session_shared *shared)
{
    /* The buffers are not cleared: their pages take no memory until they are used. */
    struct session *s = malloc(sizeof *s);

    if (!s)
        return NULL;
    memset(s, 0, offsetof(struct session, up));
    memset(&s->up, 0, offsetof(struct flow, bytes));
    memset(&s->down, 0, offsetof(struct flow, bytes));
    s->shared = shared;
    uv_tcp_init(shared->loop, &s->client);
    uv_timer_init(shared->loop, &s->timer);
    dial_init(&s->dial, shared->loop, &shared->spare);
    s->client.data = s->timer.data = s;
    s->references = 3; /* the three handles above */
    socks_begin(&s->socks, &shared->config->account);
    enlist(s);
    shared->count++;
    return s;
}

/* Whether the client may use the proxy. If there is a password, SOCKS will ask for it. */
static bool may_enter(const struct session *s)
{
    const struct proxy_config *config = s->shared->config;
    struct error why = {"it has no descriptor"};
    uv_os_fd_t fd;

    if (config->serves_any_user || config->account.password[0] != '\0' ||
        (uv_fileno((const uv_handle_t *)&s->client, &fd) == 0 && visitor_is_own(fd, &why)))
        return true;
    if (!s->shared->told_visitor)
        log_warnx("a connection was refused: %s", why.text);
    s->shared->told_visitor = true;
    return false;
}

bool session_accept(struct session_shared *shared, uv_stream_t *listener, int *failure)
{
    struct session *s = session_new(shared);
    struct sockaddr_storage peer;
    int size = sizeof peer;

    *failure = s ? uv_accept(listener, (uv_stream_t *)&s->client) : UV_ENOMEM;
    if (!s)
        return false;
    if (*failure == 0 && !may_enter(s))
        *failure = UV_EACCES;
    if (*failure == 0) {
        s->client_is_local =
            uv_tcp_getpeername(&s->client, (struct sockaddr *)&peer, &size) == 0 &&
            proxyconf_is_loopback((const struct sockaddr *)&peer);
        uv_tcp_nodelay(&s->client, 1);
        uv_tcp_keepalive(&s->client, 1, KEEPALIVE_SECONDS);
        arm(s, end_on_timer, shared->config->handshake_timeout * UINT64_C(1000));
        *failure = uv_read_start((uv_stream_t *)&s->client, client_buffer, on_handshake);
    }
    if (*failure != 0)
        session_end(s);
    return *failure == 0;
}
