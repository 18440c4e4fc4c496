#include "privsep/xtables/chains.h"

const char *const rules_tables[RULES_TABLES] = {"mangle", "filter", "nat"};

const struct place rules_places[RULES_PLACES] = {
    [PLACE_SHUT] = {RULES_MANGLE, "portsmith-shut"},
    [PLACE_OPEN] = {RULES_FILTER, "portsmith-open"},
    [PLACE_GATEWAY] = {RULES_FILTER, "portsmith-through"},
    [PLACE_SENDING] = {RULES_NAT, "portsmith"},
};

const struct jump rules_jumps[RULES_JUMPS] = {
    [JUMP_TO_SHUT] = {"mangle", "PREROUTING", "portsmith"},
    [JUMP_TO_INPUT] = {"mangle", "INPUT", "portsmith-input"},
    [JUMP_TO_TRANSLATED] = {"mangle", "FORWARD", "portsmith-translated"},
    [JUMP_TO_OPEN] = {"filter", "INPUT", "portsmith"},
    [JUMP_TO_GATEWAY] = {"filter", "FORWARD", "portsmith-gateway"},
    [JUMP_TO_SENDING] = {"nat", "PREROUTING", "portsmith"},
    [RULES_EARLIER] = {"filter", "INPUT", "portsmith-reset"},
    {"filter", "FORWARD", "portsmith-forward"},
};
