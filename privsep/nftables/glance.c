#include "privsep/nftables/glance.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "privsep/nftables/batch.h"
#include "privsep/nftables/table.h"

/* Those that are not there have the kernel say so. */
static const char *const chains[] = {"prerouting", "arriving", "door", "input", "delivered",
                                     "stray", "forward", "open", "granted", "sending"};

/* Asks one question, and appends the answer. What it begins with is left out, as it has the
 * ruleset's generation in it, which is another after each change. */
static int ask(struct glance *glance, const struct netwriter *w, int fd)
{
    const size_t head = sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg);
    uint8_t answer[640];
    ssize_t n;

    if (send(fd, w->bytes, w->size, MSG_DONTWAIT) != (ssize_t)w->size)
        return errno;
    n = recv(fd, answer, sizeof answer, MSG_DONTWAIT | MSG_TRUNC);
    if (n < (ssize_t)head || (size_t)n > sizeof answer ||
        (size_t)n - head > sizeof glance->bytes - glance->size)
        return EIO;
    memcpy(glance->bytes + glance->size, answer + head, (size_t)n - head);
    glance->size += (size_t)n - head;
    return 0;
}

static int ask_of_chain(struct glance *glance, struct netwriter *w, int fd, const char *chain)
{
    w->size = 0;
    batch_message(w, NFT_MSG_GETCHAIN, 0);
    netwriter_text(w, NFTA_CHAIN_TABLE, TABLE_NAME);
    netwriter_text(w, NFTA_CHAIN_NAME, chain);
    netwriter_end(w);
    return ask(glance, w, fd);
}

int glance_take(struct glance *glance, struct netwriter *w, int fd)
{
    uint8_t stale;
    int error;

    while (recv(fd, &stale, sizeof stale, MSG_DONTWAIT) >= 0)
        continue;
    glance->size = 0;
    w->size = 0;
    batch_message(w, NFT_MSG_GETTABLE, 0);
    netwriter_text(w, NFTA_TABLE_NAME, TABLE_NAME);
    netwriter_end(w);
    error = ask(glance, w, fd);
    for (size_t i = 0; i < sizeof chains / sizeof *chains && error == 0; i++)
        error = ask_of_chain(glance, w, fd, chains[i]);
    return error;
}

bool glance_is_same(const struct glance *a, const struct glance *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}
