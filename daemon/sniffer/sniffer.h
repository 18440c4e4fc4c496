/* The sniffer: sees every byte that an attacker sends, and can do nothing but
 * pass fixed-size requests to the helper. */
#ifndef PORTSMITH_SNIFFER_H
#define PORTSMITH_SNIFFER_H

/* The life of a sniffer that portsmithd has started, still root, with the descriptors of
 * sniffermessage.h; never returns. Exits as that says. */
_Noreturn void sniffer_run(void);

#endif
