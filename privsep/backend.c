#include "privsep/backend.h"

const char *backend_name(enum backend backend)
{
    static const char *const names[] = {[BACKEND_AUTO] = "auto",
                                        [BACKEND_NFT] = "iptables-nft",
                                        [BACKEND_LEGACY] = "iptables-legacy",
                                        [BACKEND_NFTABLES] = "nftables"};

    return names[backend <= BACKEND_NFTABLES ? backend : BACKEND_AUTO];
}

bool backend_none(const struct error *iptables, const struct error *nftables, struct error *why)
{
    return error_set(why, "%.300s; nor can the back end be nftables: %.300s", iptables->text,
                     nftables->text);
}

void backend_advise(struct error *why, enum backend instead)
{
    const struct error first = *why;

    error_set(why, "%.570s, or set Backend = %s, which works here", first.text,
              backend_name(instead));
}
