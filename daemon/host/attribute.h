/* Text in what the kernel answers over netlink. */
#ifndef PORTSMITH_ATTRIBUTE_H
#define PORTSMITH_ATTRIBUTE_H

#include "privsep/netlink.h"

/* The text of the first attribute of a type; NULL if there is none, or if it does not end with a
 * zero. It is in `in`, and as long good as that is. */
const char *attribute_text(struct span in, unsigned type);

#endif
