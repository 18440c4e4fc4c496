/* The verdict: what the helper says to a request. One table makes the enum, the words for
 * programs and the words for people, so that none of them can lack an entry. */
#ifndef PORTSMITH_VERDICT_H
#define PORTSMITH_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

/* The name behind VERDICT_, a word for programs, words for people, whether it is a grant. */
#define VERDICT_LIST(X)                                                                            \
    X(OPENED, "opened", "opened", true)                                                            \
    X(EXTENDED, "extended", "extended", true)                                                      \
    X(CLOSED, "closed", "closed by the client", true)                                              \
    X(UNKNOWN_PROFILE, "unknown_profile", "no such profile", false)                                \
    X(BAD_SIGNATURE, "bad_signature", "the signature is wrong", false)                             \
    /* The counter was spent, or is below the mark. */                                             \
    X(REPEATED, "repeated", "already used: a repeat, a replay or a second device", false)          \
    /* The counter is after now + MaxSkew, or before now - MaxSkew. It is not spent. */            \
    X(AHEAD, "ahead", "the client's clock is ahead", false)                                        \
    X(BEHIND, "behind", "the client's clock is behind", false)                                     \
    X(NOT_RECORDED, "not_recorded", "its mark could not be stored", false)                         \
    X(EXPIRED_PROFILE, "expired_profile", "the profile or its roster has expired", false)          \
    X(SERVICE_DENIED, "service_denied", "a service that is not in the profile", false)             \
    X(ADDRESS_DENIED, "address_denied", "an address that the profile denies", false)               \
    /* No service has a destination of the address's family. */                                    \
    X(NO_DESTINATION, "no_destination", "no host of the family behind it", false)                  \
    X(TOO_MANY_GRANTS, "too_many_grants", "too many live grants", false)                           \
    X(FIREWALL_FAILED, "firewall_failed", "the firewall could not be changed", false)              \
    X(NOTHING_TO_CLOSE, "nothing_to_close", "nothing was open", false)                             \
    X(OUTSIDE_HOURS, "outside_hours", "outside of the profile's Hours", false)                     \
    /* An open is older than the last close, or a close is older than what opened. */              \
    X(OVERTAKEN, "overtaken", "older than a knock that undid it", false)                           \
    /* This host is of a group, and the knock signs no address; or it names another host. */       \
    X(OTHER_MEMBER, "other_member", "it names another member of the group, or none", false)

#define VERDICT_MEMBER(member, name, text, is_grant) VERDICT_##member,
enum verdict {
    VERDICT_NONE, /* nothing speaks against it yet */
    VERDICT_LIST(VERDICT_MEMBER)
    VERDICTS
};
#undef VERDICT_MEMBER

/* The word for programs, such as "service_denied"; "" for what is no verdict. */
const char *verdict_name(uint32_t verdict);

/* The words for people, such as "a service that is not in the profile"; "" for what is no
 * verdict. */
const char *verdict_text(uint32_t verdict);

/* Whether the request was granted, so that something was opened, extended or closed. */
bool verdict_is_grant(uint32_t verdict);

#endif
