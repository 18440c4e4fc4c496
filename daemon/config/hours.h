/* When a profile may knock, as its file says it: "Mon-Fri 08:00-18:00", in UTC. */
#ifndef PORTSMITH_HOURS_H
#define PORTSMITH_HOURS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"
#include "privsep/message.h"

/* Adds what one line says to `hours`, kept ascending and apart, of which there are
 * *count and room for POLICY_HOURS. A day or a range of days (which may go over
 * Sunday: Sat-Mon), a space, and the time from and to, up to 24:00; a time that is not
 * after the one before is that of the next day. */
bool hours_parse(struct hours *hours, uint32_t *count, const char *text, struct error *why);

/* A line `Hours = ...` for each; to be read back. */
void hours_print(const struct hours *hours, uint32_t count, FILE *out);

#endif
