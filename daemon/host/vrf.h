/* Devices of VRFs (virtual routing and forwarding). */
#ifndef PORTSMITH_VRF_H
#define PORTSMITH_VRF_H

#include <stdbool.h>

#include "daemon/config/config.h"
#include "daemon/host/warning.h"

enum { VRF_MEMBERS_SIZE = 256 };

/* Whether the interface is the device of a VRF; if so, which interfaces are in it, with
 * blanks between, as many as fit. A capture on such a device has what comes in as outgoing,
 * as what this host sends (vrf_ip_rcv, dev_queue_xmit_nit), so that none may be taken. */
bool vrf_is(const char *interface, char members[static VRF_MEMBERS_SIZE]);

/* Calls `report`, handing on `data`, for each that the configuration wants captured. */
void vrf_find(const struct config *config, warning_taker *report, void *data);

#endif
