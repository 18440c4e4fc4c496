/* Lines of ssh keys, as ssh-keygen writes them; both are of one Ed25519 key. */
#ifndef PORTSMITH_SSHLINES_H
#define PORTSMITH_SSHLINES_H

#define PLAIN_LINE \
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHkpE2cBm+H+RMnmFfuDjMlSZY6LNWfSNvKLC/s+Twiw"
#define SECURITY_LINE \
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2gu" \
    "Y29tAAAAIHkpE2cBm+H+RMnmFfuDjMlSZY6LNWfSNvKLC/s+TwiwAAAABHNzaDo="
#define ECDSA_LINE \
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBC6ijU0YHOgguCOK" \
    "9FWdYSR1a4vizlt//AxKbrS/IVMd+UGVyjRGUBbu/VPu9W47Rh8lX+FjWCcFsMcp9IydsN4="

#endif
