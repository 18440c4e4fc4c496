#include "privsep/backend.h"

const char *backend_name(enum backend backend)
{
    static const char *const names[] = {[BACKEND_AUTO] = "auto",
                                        [BACKEND_NFT] = "iptables-nft",
                                        [BACKEND_LEGACY] = "iptables-legacy",
                                        [BACKEND_NFTABLES] = "nftables"};

    return names[backend <= BACKEND_NFTABLES ? backend : BACKEND_AUTO];
}
