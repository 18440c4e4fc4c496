#include "privsep/cut/doors.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const struct cut_door *one = a, *other = b;
    int by_address = memcmp(&one->address, &other->address, sizeof one->address);

    return by_address != 0 ? by_address : service_compare(&one->service, &other->service);
}

bool doors_add(struct doors *doors, const struct cut_door *door)
{
    const struct cut_door *last = doors->count > 0 ? &doors->items[doors->count - 1] : NULL;

    if (doors->count == CUT_DOORS_MAX || (door->deed != CUT_KILL && door->deed != CUT_ASK) ||
        (door->service.protocol != IPPROTO_TCP && door->service.protocol != IPPROTO_UDP) ||
        door->service.port == 0)
        return false;
    if (last && (last->deed != CUT_KILL || door->deed != CUT_KILL || compare(last, door) > 0))
        return false;
    doors->items[doors->count++] = *door;
    return true;
}

bool doors_have(const struct doors *doors, const struct address *from, const struct service *to)
{
    const struct cut_door wanted = {.address = *from, .service = *to};

    return bsearch(&wanted, doors->items, doors->count, sizeof wanted, compare) != NULL;
}

void doors_share(struct shared *shared, const struct cut_door *door)
{
    if (shared->met++ == 0) {
        shared->address = &door->address;
        shared->protocol = door->service.protocol;
        shared->port = door->service.port;
        return;
    }
    if (shared->address && !address_equal(shared->address, &door->address))
        shared->address = NULL;
    if (shared->protocol != door->service.protocol)
        shared->protocol = 0;
    if (shared->port != door->service.port)
        shared->port = 0;
}
