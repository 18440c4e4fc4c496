/* How grants were used, as the witness counts. The file "uses" of the run directory is written
 * by the witness alone; the supervisor makes it, hands it over, and reads it when grants are
 * listed. It outlives witnesses, and what it says opens and shuts nothing. */
#ifndef PORTSMITH_USES_H
#define PORTSMITH_USES_H

#include <stdint.h>

#include "privsep/message.h"

#define USES_FILE "uses"

enum { USE_FLOWS = 2 * CONNECTIONS_MAX };

enum use_known {
    USE_UNKNOWN, /* the kernel did not tell of all connections */
    USE_COUNTED, /* all connections since the grant began, or admitted connections anew, are
                    known */
};

/* Of one grant. Whoever writes a record sets `id` to 0 before, and to the grant's after. */
struct use {
    uint32_t id;        /* the grant's; 0: none */
    uint32_t allowance; /* the grant's, when counting began */
    uint32_t known;     /* enum use_known */
    uint32_t used;      /* connections that came in; where it admits any number, the first alone */
    uint32_t flow_count;
    uint32_t flows[USE_FLOWS]; /* the kernel's numbers of those, and of connections of before */
};

/* The file: as many records as the table of grants has, in no order. */

#endif
