/* The keys of portsmith.conf: how each is read and printed. */
#ifndef PORTSMITH_CONFIGKEYS_H
#define PORTSMITH_CONFIGKEYS_H

#include "common/text/settings.h"
#include "daemon/config/config.h"

extern const struct settings_table config_table; /* into a struct config */

/* The values of keys that no line sets, but for those that config_read_main fills in. */
extern const struct config config_defaults;

/* Prints all keys as the file would say them. */
void config_print_keys(const struct config *c, FILE *out);

#endif
