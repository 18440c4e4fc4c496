/* The keys that the server shares with its clients, made for all profiles at once. */
#ifndef PORTSMITH_CLIENTKEYS_H
#define PORTSMITH_CLIENTKEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "profile.h"

/* Checks the public key of each of `count` profiles and makes the envelope key, in whose
 * place the pre-shared key lies until then if the profile has_preshared. With very many,
 * several threads do it, which have ended when this returns. False with the index of the
 * first profile whose public key is not usable; others may have no key then, either. */
bool clientkeys_make(struct profile *profiles, size_t count, const struct server_key *server,
                     size_t *unusable);

#endif
