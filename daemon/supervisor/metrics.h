/* Writes the counters, live grants and refusals to a file for node_exporter's textfile collector,
 * in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats). */
#ifndef PORTSMITH_METRICS_H
#define PORTSMITH_METRICS_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/sniffer/counters.h"
#include "daemon/supervisor/pair.h"

enum { METRICS_PERIOD = 15 /* seconds between two writings */ };

/* Puts a new file in place of the one at the absolute path `path`, in one step: readers see the
 * old numbers or the new ones. Knocks are heard if both processes of the pair run. What only the
 * helper knows is as it last told it. False with the reason. */
bool metrics_write(const char *path, const struct counters *counters, const struct pair *pair,
                   struct error *why);

#endif
