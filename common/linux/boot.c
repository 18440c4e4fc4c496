#include "common/linux/boot.h"

#include <fcntl.h>
#include <unistd.h>

bool boot_id_read(char id[static BOOT_ID_SIZE])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, id, BOOT_ID_SIZE);
    close(fd);
    return n == BOOT_ID_SIZE;
}
