/* An address of IPv4 or IPv6, with a port: for what tests/bench/run measures with. */
#ifndef BENCH_ENDPOINT_H
#define BENCH_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

union endpoint {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

/* Reads an address; its port is 0. False if the text is none. */
bool endpoint_read(union endpoint *e, const char *text);

/* The same address with that port, host order. */
union endpoint endpoint_at(union endpoint e, uint16_t port);

/* In bytes, for bind(2) and the like. */
socklen_t endpoint_size(const union endpoint *e);

#endif
