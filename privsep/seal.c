#include "privsep/seal.h"

#include <sodium.h>
#include <string.h>

void seal_make(uint8_t seal[static SEAL_SIZE], const void *bytes, size_t size)
{
    crypto_generichash(seal, SEAL_SIZE, bytes, size, NULL, 0);
}

bool seal_is_right(const uint8_t seal[static SEAL_SIZE], const void *bytes, size_t size)
{
    uint8_t right[SEAL_SIZE];

    seal_make(right, bytes, size);
    return memcmp(right, seal, SEAL_SIZE) == 0;
}
