/* The rules of a grant, of each kind at each place, with holes (privsep/rules.h). */
#ifndef PORTSMITH_GRANTED_H
#define PORTSMITH_GRANTED_H

#include <stdio.h>

#include "common/address.h"
#include "privsep/rules.h"
#include "privsep/setup.h"

/* Writes the rules that a grant of this kind (bits of enum rules_kind) has at a place; there may be
 * none. */
void granted_write(FILE *out, enum family family, const struct helper_setup *setup, unsigned kind,
                   enum rules_place place);

#endif
