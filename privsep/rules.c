#include "privsep/rules.h"

const char *const rules_tables[RULES_TABLES] = {"mangle", "filter", "nat"};

const struct place rules_places[RULES_PLACES] = {
    [PLACE_SHUT] = {RULES_MANGLE, "portsmith-shut"},
    [PLACE_OPEN] = {RULES_FILTER, "portsmith-open"},
    [PLACE_GATEWAY] = {RULES_FILTER, "portsmith-through"},
    [PLACE_SENDING] = {RULES_NAT, "portsmith"},
};

const struct jump rules_jumps[RULES_JUMPS] = {
    {"mangle", "PREROUTING", "portsmith"},
    {"mangle", "INPUT", "portsmith-input"},
    {"mangle", "FORWARD", "portsmith-translated"},
    [RULES_TO_INPUT] = {"filter", "INPUT", "portsmith"},
    [RULES_TO_GATEWAY] = {"filter", "FORWARD", "portsmith-gateway"},
    [RULES_TO_SENDING] = {"nat", "PREROUTING", "portsmith"},
    [RULES_EARLIER] = {"filter", "INPUT", "portsmith-reset"},
    {"filter", "FORWARD", "portsmith-forward"},
};
