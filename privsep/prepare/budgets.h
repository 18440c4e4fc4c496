/* How many packets the elements of counted grants (nftables/table.h) still admit, so that a table
 * which is made anew admits no more. */
#ifndef PORTSMITH_BUDGETS_H
#define PORTSMITH_BUDGETS_H

#include <stdint.h>

#include "privsep/helper/grants.h"

/* Takes note of the counted grants that were taken over, and asks the kernel. Where it has no such
 * table, or does not answer, nothing was spent. */
void budgets_note(const struct grants *grants);

/* Returns how many packets are left to a door: UINT32_MAX, all, where nothing was spent. */
uint32_t budgets_left(const struct door *door);

#endif
