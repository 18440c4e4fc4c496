/* How much a configuration can name of what the sniffer is told of it: the sniffer knows these
 * numbers, and nothing else of this folder. */
#ifndef PORTSMITH_LIMITS_H
#define PORTSMITH_LIMITS_H

enum {
    CONFIG_INTERFACES = 16,
    CONFIG_INTERFACE_NAME_SIZE = 16, /* IFNAMSIZ */
    CONFIG_PATH_SIZE = 192,
    CONFIG_KNOCK_PORTS = 32, /* distinct ports, all profiles together: they
                                all go into one BPF program */
};

#endif
