#include "common/linux/kernel.h"

#include <stdio.h>
#include <string.h>

bool kernel_switch_is_off(const char *path)
{
    FILE *file = fopen(path, "re");
    int first = file ? fgetc(file) : EOF;

    if (file)
        fclose(file);
    return first == '0';
}

/* Whether IPVS balances TCP connections. It has a line for each service that it balances. Its
 * connections have no sockets here and, unless it is told otherwise, no entries in connection
 * tracking (ip_vs_notrack). */
static bool balances_tcp(void)
{
    FILE *file = fopen("/proc/net/ip_vs", "re");
    char word[8];
    bool found = false;

    while (file && !found && fscanf(file, "%7s%*[^\n]", word) == 1)
        found = strcmp(word, "TCP") == 0 || strcmp(word, "FWM") == 0;
    if (file)
        fclose(file);
    return found;
}

bool kernel_finds_sockets(struct error *why)
{
    if (kernel_switch_is_off("/proc/sys/net/ipv4/ip_early_demux"))
        return error_set(why, "net.ipv4.ip_early_demux is 0");
    if (kernel_switch_is_off("/proc/sys/net/ipv4/tcp_early_demux"))
        return error_set(why, "net.ipv4.tcp_early_demux is 0");
    return !balances_tcp() || error_set(why, "IPVS balances TCP connections on this host");
}
