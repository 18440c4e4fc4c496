/* The sniffer: sees every byte that an attacker sends, and can do nothing but
 * pass fixed-size requests to the helper. */
#ifndef PORTSMITH_SNIFFER_H
#define PORTSMITH_SNIFFER_H

/* The whole life of a sniffer. portsmithd has started it as root, with the descriptors of
 * sniffermessage.h, which also lists its exit statuses. Never returns. */
_Noreturn void sniffer_run(void);

#endif
