#include "common/text/member.h"

#include <sodium.h>
#include <string.h>

bool member_parse(char name[static MEMBER_NAME_SIZE], const char *text, struct error *why)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:%";
    size_t size = strspn(text, allowed);

    if (size == 0 || size >= MEMBER_NAME_SIZE || text[size] != '\0' || text[0] == '-')
        return error_set(why, "'%.200s' is not a host name or an IP address; IPv6 is written without "
                              "brackets", text);
    memcpy(name, text, size + 1);
    return true;
}

void member_id(uint8_t id[static MEMBER_SIZE], const char *name)
{
    static const char label[] = "portsmith/1 member";
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, MEMBER_SIZE);
    crypto_generichash_update(&state, (const uint8_t *)label, sizeof label - 1);
    for (; *name != '\0'; name++) {
        uint8_t folded = (uint8_t)(*name >= 'A' && *name <= 'Z' ? *name - 'A' + 'a' : *name);

        crypto_generichash_update(&state, &folded, 1);
    }
    crypto_generichash_final(&state, id, MEMBER_SIZE);
}
