/* In the place of what Linux adds. Each says what does instead. */
#include "client/echo.h"
#include "client/knock/pass.h"
#include "client/platform/platform.h"
#include "client/syn.h"

void platform_bind_without_port(int fd)
{
    (void)fd;
}

void platform_hold_ack(int fd)
{
    (void)fd;
}

int platform_connect_later(const struct sockaddr *to, socklen_t size)
{
    (void)to;
    (void)size;
    return -1;
}

static bool refuse_transport(const char *name, struct error *why)
{
    return error_set(why, "the transport %s: only the client for Linux has it; knock by udp "
                          "(--transport udp) if Transports on the server names it", name);
}

bool syn_send(const struct target *target, const struct address *from, const uint8_t *bytes,
              size_t size, struct error *why)
{
    (void)target;
    (void)from;
    (void)bytes;
    (void)size;
    return refuse_transport("tcp-syn", why);
}

bool echo_send(const struct target *target, const struct address *from, const uint8_t *bytes,
               size_t size, struct error *why)
{
    (void)target;
    (void)from;
    (void)bytes;
    (void)size;
    return refuse_transport("icmp", why);
}

bool pass_is_possible(int out, struct error *why)
{
    (void)out;
    return error_set(why, "only the client for Linux passes connections on; leave --pass out, and "
                          "ProxyUseFdpass out of ssh_config: bytes are carried then");
}

bool pass_is_expected(int in, int out)
{
    (void)in;
    (void)out;
    return false;
}

bool pass_descriptor(int out, int fd, struct error *why)
{
    (void)fd;
    return pass_is_possible(out, why);
}
