#include "client/checksum.h"

#include "common/bytes.h"

uint32_t checksum_add(uint32_t sum, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i + 1 < size; i += 2)
        sum += load_be16(bytes + i);
    if (size % 2)
        sum += (uint32_t)bytes[size - 1] << 8;
    return (sum & 0xffff) + (sum >> 16);
}

uint16_t checksum_end(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}
