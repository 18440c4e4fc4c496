/* Where the server sends a service on to: `tcp/2222 -> 192.168.1.10:22`. */
#ifndef PORTSMITH_DESTINATION_H
#define PORTSMITH_DESTINATION_H

#include <stdbool.h>

#include "common/error.h"
#include "privsep/message.h"

enum { DESTINATION_TEXT_SIZE = ADDRESS_TEXT_SIZE + 8 }; /* "[ADDRESS]:65535" and a zero */

/* Reads "192.168.1.10:22" or "[fd00::10]:22" into address and port of *d. Names are refused: what
 * they lead to could change behind the server's back. False with the reason. */
bool destination_parse(struct helper_destination *d, const char *text, struct error *why);

/* Writes address and port of *d as text. Returns `text`. */
const char *destination_format(const struct helper_destination *d,
                               char text[static DESTINATION_TEXT_SIZE]);

#endif
