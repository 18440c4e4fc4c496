#!/usr/bin/env python3
"""A client of libssh: libssh.py HOST COMMAND runs COMMAND on HOST, which ~/.ssh/config describes.

Says what COMMAND says. libssh gives a ProxyCommand one socket for standard input and output,
and knows nothing of ProxyUseFdpass."""
import atexit
import ctypes
import sys

HOST = 0  # of enum ssh_options_e

lib = ctypes.CDLL("libssh.so.4")
for name in ("ssh_new", "ssh_channel_new", "ssh_get_error"):
    getattr(lib, name).restype = ctypes.c_void_p
session = ctypes.c_void_p(lib.ssh_new())
atexit.register(lib.ssh_disconnect, session)  # which ends the ProxyCommand, too


def must(done):
    if not done:
        sys.exit("libssh: " + ctypes.string_at(lib.ssh_get_error(session)).decode())


def main(host, command):
    must(lib.ssh_options_set(session, HOST, host.encode()) == 0)
    must(lib.ssh_options_parse_config(session, None) == 0)
    must(lib.ssh_connect(session) == 0)
    must(lib.ssh_userauth_publickey_auto(session, None, None) == 0)
    channel = ctypes.c_void_p(lib.ssh_channel_new(session))
    must(lib.ssh_channel_open_session(channel) == 0)
    must(lib.ssh_channel_request_exec(channel, command.encode()) == 0)
    answer = ctypes.create_string_buffer(4096)
    size = lib.ssh_channel_read_timeout(channel, answer, len(answer), 0, 10000)
    must(size >= 0)
    sys.stdout.write(answer.raw[:size].decode())


main(*sys.argv[1:])
