/* The counters, live grants and refusals as a file for node_exporter's textfile collector,
 * in Prometheus' text format
 * (https://prometheus.io/docs/instrumenting/exposition_formats). */
#ifndef PORTSMITH_METRICS_H
#define PORTSMITH_METRICS_H

#include <stdbool.h>

#include "common/error.h"
#include "daemon/sniffer/counters.h"
#include "daemon/supervisor/pair.h"

enum { METRICS_PERIOD = 15 /* seconds between two writings */ };

/* Puts the file in place of the one at the absolute path `path`, in one step: readers
 * see the old numbers or the new. Knocks are heard if both of the pair run; what the
 * helper knows is what it last told. False with the reason. */
bool metrics_write(const char *path, const struct counters *counters, const struct pair *pair,
                   struct error *why);

#endif
