#include "privsep/nftables/table.h"

const char *const table_sets[TABLE_SETS][FAMILIES] = {
    [TABLE_GRANTS] = {"grants4", "grants6"},
    [TABLE_COUNTED] = {"counted4", "counted6"},
    [TABLE_SENDING] = {"sending4", "sending6"},
};
