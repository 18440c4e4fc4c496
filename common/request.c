#include "common/request.h"

#include <netinet/in.h>
#include <string.h>

#include "common/bytes.h"

enum {
    VERSION = 1,
    FLAG_ADDRESS = 1,
    FLAG_MEMBER = 2,

    AT_VERSION = 0,
    AT_ACTION = 1,
    AT_FLAGS = 2,
    AT_COUNT = 3,
    AT_WINDOW = 4,
    AT_COUNTER = 8,
    AT_ADDRESS = 16,
    AT_SERVICES = 32,
    SERVICE_SIZE = 4,
    AT_MEMBER = AT_SERVICES + REQUEST_SERVICES * SERVICE_SIZE,
};

bool request_names_member(const struct request *r)
{
    uint8_t any = 0;

    /*@ loop invariant 0 <= i <= MEMBER_SIZE;
        loop assigns i, any;
        loop variant MEMBER_SIZE - i; */
    for (size_t i = 0; i < MEMBER_SIZE; i++)
        any |= r->member[i];
    return any != 0;
}

void request_encode(uint8_t bytes[static REQUEST_SIZE], const struct request *r)
{
    memset(bytes, 0, REQUEST_SIZE);
    bytes[AT_VERSION] = VERSION;
    bytes[AT_ACTION] = (uint8_t)r->action;
    bytes[AT_FLAGS] = r->has_address ? FLAG_ADDRESS : request_names_member(r) ? FLAG_MEMBER : 0;
    bytes[AT_COUNT] = r->service_count;
    store_be32(bytes + AT_WINDOW, r->window);
    store_be64(bytes + AT_COUNTER, r->counter);
    if (r->has_address)
        memcpy(bytes + AT_ADDRESS, r->address.bytes, sizeof r->address.bytes);
    else
        memcpy(bytes + AT_MEMBER, r->member, sizeof r->member);
    /*@ loop invariant 0 <= i <= r->service_count;
        loop assigns i, bytes[AT_SERVICES .. REQUEST_SIZE - 1];
        loop variant r->service_count - i; */
    for (size_t i = 0; i < r->service_count; i++) {
        uint8_t *service = bytes + AT_SERVICES + i * SERVICE_SIZE;

        service[0] = r->services[i].protocol;
        store_be16(service + 2, r->services[i].port);
    }
}

/*@ requires \valid_read(r) && r->service_count <= REQUEST_SERVICES;
    assigns \nothing;
    ensures \result ==> services_exist(&r->services[0], r->service_count) &&
                       services_ascend(&r->services[0], r->service_count); */
static bool services_are_valid(const struct request *r)
{
    /*@ loop invariant 0 <= i <= r->service_count;
        loop invariant services_exist(&r->services[0], i);
        loop invariant services_ascend(&r->services[0], i);
        loop assigns i;
        loop variant r->service_count - i; */
    for (size_t i = 0; i < r->service_count; i++) {
        const struct service *s = &r->services[i];

        if ((s->protocol != IPPROTO_TCP && s->protocol != IPPROTO_UDP) || s->port == 0)
            return false;
        if (i > 0 && service_compare(&r->services[i - 1], s) >= 0)
            return false;
    }
    return true;
}

bool request_decode(struct request *r, const uint8_t bytes[static REQUEST_SIZE])
{
    uint8_t again[REQUEST_SIZE];

    *r = (struct request){0};
    if (bytes[AT_ACTION] != ACTION_OPEN && bytes[AT_ACTION] != ACTION_CLOSE)
        return false;
    if (bytes[AT_COUNT] > REQUEST_SERVICES)
        return false;
    r->action = (enum action)bytes[AT_ACTION];
    r->has_address = bytes[AT_FLAGS] & FLAG_ADDRESS;
    r->service_count = bytes[AT_COUNT];
    r->window = load_be32(bytes + AT_WINDOW);
    r->counter = load_be64(bytes + AT_COUNTER);
    if (r->has_address)
        memcpy(r->address.bytes, bytes + AT_ADDRESS, sizeof r->address.bytes);
    memcpy(r->member, bytes + AT_MEMBER, sizeof r->member);
    /*@ loop invariant 0 <= i <= r->service_count;
        loop assigns i, r->services[0 .. REQUEST_SERVICES - 1];
        loop variant r->service_count - i; */
    for (size_t i = 0; i < r->service_count; i++) {
        const uint8_t *service = bytes + AT_SERVICES + i * SERVICE_SIZE;

        r->services[i] = (struct service){.protocol = service[0], .port = load_be16(service + 2)};
    }
    if (!services_are_valid(r) || (r->has_address && !address_is_foreign(&r->address)))
        return false;
    if (r->action == ACTION_CLOSE && r->window != 0)
        return false;
    /* Bytes that do not come back as they were have another version, or something set that must be
     * zero. So there is one valid encoding only. */
    request_encode(again, r);
    return memcmp(again, bytes, REQUEST_SIZE) == 0;
}

/* Puts `added` where it belongs among `count` ascending services, unless it is among them.
 * Returns the new count. */
/*@ requires count < 255 && \valid(services + (0 .. count));
    assigns services[0 .. count];
    ensures count <= \result <= count + 1; */
static uint8_t insert_service(struct service *services, uint8_t count, struct service added)
{
    uint8_t at = count;

    /*@ loop invariant 0 <= at <= count;
        loop assigns at;
        loop variant at; */
    while (at > 0 && service_compare(&services[at - 1], &added) > 0)
        at--;
    if (at > 0 && service_compare(&services[at - 1], &added) == 0)
        return count;
    /*@ loop invariant at <= i <= count;
        loop assigns i, services[0 .. count];
        loop variant i; */
    for (uint8_t i = count; i > at; i--)
        services[i] = services[i - 1];
    services[at] = added;
    return (uint8_t)(count + 1);
}

uint8_t request_order_services(struct service *services, uint8_t count)
{
    uint8_t kept = 0;

    /*@ loop invariant kept <= i <= count;
        loop assigns i, kept, services[0 .. count - 1];
        loop variant count - i; */
    for (uint8_t i = 0; i < count; i++)
        kept = insert_service(services, kept, services[i]);
    return kept;
}
