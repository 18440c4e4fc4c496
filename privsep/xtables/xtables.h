/* The iptables of this host, as it was probed (probe.h). */
#ifndef PORTSMITH_XTABLES_H
#define PORTSMITH_XTABLES_H

#include <stdbool.h>

#include "common/address.h"
#include "privsep/message.h"

struct xtables {
    enum backend backend;        /* BACKEND_NFT or BACKEND_LEGACY */
    bool in_use[FAMILIES];       /* IPv6: unless the kernel has none */
    const char *paths[FAMILIES]; /* of the restore programs, absolute */
    bool has_nat[FAMILIES];      /* probe_has_nat, when probe_xtables asked */
    bool tells_sessions[FAMILIES]; /* filled in by probe_sessions alone */
};

#endif
