#include "client/proxy/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "client/proxy/gates.h"
#include "client/proxy/session.h"
#include "common/log.h"

enum {
    BACKLOG = 1024,
    OWN_DESCRIPTORS = 64, /* for the loop, the listeners, looking up and knocking */
    EACH_SESSION = 2,     /* descriptors: the client's socket and the server's */
    SPARE_SHARE = 5,      /* one in so many is kept for further attempts to connect */
    ADDRESS_PORT_SIZE = INET6_ADDRSTRLEN + sizeof "[]:65535",
};

struct listener {
    uv_tcp_t tcp;
    bool has_waiting; /* a connection waits, as there was no room for it */
    char text[ADDRESS_PORT_SIZE]; /* address and port */
};

struct proxy {
    uv_loop_t loop;
    const struct proxy_config *config;
    struct gates gates;
    struct session_shared shared;
    unsigned max_sessions;
    bool told_full;
    struct listener listeners[PROXY_LISTENERS];
    unsigned listener_count;
    uv_signal_t signals[2];
    bool is_ending;
};

/* ---- how many ------------------------------------------------------------ */

/* Raises the limit of descriptors as far as the hard limit allows and the configuration needs, and
 * divides them between sessions and spare ones. */
static bool divide_descriptors(struct proxy *p, struct error *why)
{
    struct rlimit limit;
    rlim_t most = OWN_DESCRIPTORS + 2u * EACH_SESSION * p->config->max_connections;
    unsigned free_ones;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return error_set(why, "RLIMIT_NOFILE: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max < most ? limit.rlim_max : most;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return error_set(why, "RLIMIT_NOFILE: %s", strerror(errno));
    if (limit.rlim_cur < OWN_DESCRIPTORS + 2 * SPARE_SHARE)
        return error_set(why, "only %u open files are allowed, which is too few; raise the limit "
                              "(ulimit -n)", (unsigned)limit.rlim_cur);
    free_ones = (unsigned)limit.rlim_cur - OWN_DESCRIPTORS;
    p->max_sessions = (free_ones - free_ones / SPARE_SHARE) / EACH_SESSION;
    if (p->max_sessions > p->config->max_connections)
        p->max_sessions = p->config->max_connections;
    p->shared.spare = free_ones - EACH_SESSION * p->max_sessions;
    return true;
}

/* ---- listening ----------------------------------------------------------- */

/* A connection that is not accepted waits in the kernel's queue. libuv reports no further ones
 * meanwhile. */
static void accept_one(struct proxy *p, struct listener *listener)
{
    int failure;

    listener->has_waiting = p->shared.count >= p->max_sessions;
    if (listener->has_waiting) {
        if (!p->told_full)
            log_warnx("all %u connections are in use: further ones wait", p->max_sessions);
        p->told_full = true;
    } else if (!session_accept(&p->shared, (uv_stream_t *)&listener->tcp, &failure))
        log_debug("a connection was not accepted: %s", uv_strerror(failure));
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct proxy *p = stream->loop->data;

    if (status == 0)
        accept_one(p, stream->data);
    else
        log_debug("a connection was not accepted: %s", uv_strerror(status));
}

static void on_room(struct session_shared *shared)
{
    struct proxy *p = shared->loop->data;

    for (unsigned i = 0; i < p->listener_count && !p->is_ending; i++)
        if (p->listeners[i].has_waiting)
            accept_one(p, &p->listeners[i]);
}

static void format_listener(struct listener *l, const struct sockaddr *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    bool is_v6 = address->sa_family == AF_INET6;
    char text[INET6_ADDRSTRLEN];

    inet_ntop(address->sa_family, is_v6 ? (const void *)&v6->sin6_addr : &v4->sin_addr, text,
              sizeof text);
    snprintf(l->text, sizeof l->text, is_v6 ? "[%s]:%u" : "%s:%u", text,
             ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
}

/* Listens at the address. Returns 0 or libuv's error. The handle must be closed in either case. */
static int listen_at(struct proxy *p, const struct sockaddr *address)
{
    struct listener *l = &p->listeners[p->listener_count++];
    int failure;

    format_listener(l, address);
    uv_tcp_init(&p->loop, &l->tcp);
    l->tcp.data = l;
    failure = uv_tcp_bind(&l->tcp, address,
                          address->sa_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);
    return failure ? failure : uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
}

static bool listen_everywhere(struct proxy *p, struct error *why)
{
    unsigned listening = 0;

    for (unsigned i = 0; i < p->config->listen_count; i++) {
        const struct sockaddr *address = (const struct sockaddr *)&p->config->listen[i];
        int failure = listen_at(p, address);
        const char *text = p->listeners[i].text;

        if (failure == 0) {
            log_info("listening at %s", text);
            if (!proxyconf_is_loopback(address))
                log_warnx("%s is not loopback: everybody who knows the password comes in through "
                          "your knocks, as you, and the password crosses the network in the clear",
                          text);
            listening++;
            continue;
        }
        error_set(why, "cannot listen at %s: %s%s", text, uv_strerror(failure),
                  failure == UV_EADDRINUSE ? "; another program does, or another portsmith-proxy: "
                                             "choose a port with Listen"
                  : failure == UV_EACCES ? "; choose a port above 1023 with Listen" : "");
        if (!p->config->listens_by_default || failure != UV_EADDRNOTAVAIL)
            return false; /* a machine without IPv6 has no ::1, and lacks nothing */
    }
    return listening > 0;
}

/* ---- the end ------------------------------------------------------------- */

/* Lets the loop come to its end, after the last knocks to close. */
static void end(struct proxy *p)
{
    p->is_ending = true;
    for (unsigned i = 0; i < p->listener_count; i++)
        uv_close((uv_handle_t *)&p->listeners[i].tcp, NULL);
    session_end_all(&p->shared);
    gates_end(&p->gates);
    for (size_t i = 0; i < sizeof p->signals / sizeof *p->signals; i++)
        uv_close((uv_handle_t *)&p->signals[i], NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct proxy *p = handle->data;

    log_info("ended by signal %d", number);
    end(p);
}

static void catch_signals(struct proxy *p)
{
    static const int numbers[] = {SIGINT, SIGTERM};

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_init(&p->loop, &p->signals[i]);
        p->signals[i].data = p;
        uv_signal_start_oneshot(&p->signals[i], on_signal, numbers[i]);
    }
}

static int begin(struct proxy *p, struct error *why)
{
    if (!gates_open(&p->gates, &p->loop, p->config->closes_after, why))
        return EX_CONFIG;
    if (!divide_descriptors(p, why) || !listen_everywhere(p, why))
        return EXIT_FAILURE;
    gates_refresh(&p->gates);
    if (p->gates.count == 0)
        log_warnx("no server is known, so nothing will be knocked at; import one with "
                  "'portsmith-knock import FILE' and start again");
    log_info("ready: %zu server%s, room for %u connections, others %s", p->gates.count,
             p->gates.count == 1 ? "" : "s", p->max_sessions,
             p->config->refuses_others ? "refused" : "direct");
    return EXIT_SUCCESS;
}

int proxy_serve(const struct proxy_config *config, struct error *why)
{
    static struct proxy p;
    int status;

    p.config = config;
    if (uv_loop_init(&p.loop) != 0) {
        error_set(why, "there is no event loop: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    p.loop.data = &p;
    p.shared = (struct session_shared){.loop = &p.loop, .config = config, .gates = &p.gates,
                                   .one_ended = on_room};
    catch_signals(&p);
    status = begin(&p, why);
    if (status != EXIT_SUCCESS)
        end(&p);
    uv_run(&p.loop, UV_RUN_DEFAULT);
    uv_loop_close(&p.loop);
    gates_free(&p.gates);
    return status;
}
