#!/usr/bin/python3 -IS
"""service.py tcp|udp PORT GREETING: greets whoever connects and then repeats what it hears;
by UDP, answers each datagram with the greeting. One process, so that a connection costs
little, and none is lost as one forks."""
import socket
import sys
import threading

kind, port, greeting = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode() + b"\n"


def serve(connection):
    with connection:
        try:
            connection.sendall(greeting)
            while heard := connection.recv(65536):
                connection.sendall(heard)
        except OSError:
            pass  # it was ended from outside


def serve_tcp():
    with socket.create_server(("::", port), family=socket.AF_INET6, backlog=128,
                              dualstack_ipv6=True) as service:
        while True:
            threading.Thread(target=serve, args=service.accept()[:1], daemon=True).start()


def serve_udp():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as service:
        service.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        service.bind(("::", port))
        while True:
            service.sendto(greeting, service.recvfrom(2048)[1])


{"tcp": serve_tcp, "udp": serve_udp}[kind]()
