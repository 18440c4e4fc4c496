#include "daemon/host/attribute.h"

const char *attribute_text(struct span in, unsigned type)
{
    const struct span found = netlink_find(in, type);

    return found.size > 0 && found.bytes[found.size - 1] == '\0' ? (const char *)found.bytes : NULL;
}
