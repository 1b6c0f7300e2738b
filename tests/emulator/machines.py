# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of the lab as clients: sockets of theirs, and what came of them."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Callable, Iterator
from typing import TypeVar

from emulator_harness import MACHINES, PORT, SANDBOX

from slb_emulator.network import Namespace

T = TypeVar("T")
# A UDP session outlives the socket that began it: whoever wants a new one needs a port that nobody had.
_PORTS = itertools.count(20000)


class Machine:
    """A machine as a client."""

    def __init__(self, name: str, ipv6: bool = False, sandbox: str = SANDBOX) -> None:
        self.name = name
        self._space = Namespace(f"{sandbox}-{name}")
        self.ipv6 = ipv6

    def close(self) -> None:
        self._space.close()

    def call(self, function: Callable[[], T]) -> T:
        """Work inside the machine."""
        return self._space.call(function)

    def connect(self, address: str, port: int = PORT, timeout: float = 2.0, source: str | int = 0) -> socket.socket:
        """From a source address or port of its own, where one is given."""

        def connected() -> socket.socket:
            place = ("", source) if isinstance(source, int) else (source, 0)
            return socket.create_connection((address, port), timeout, place if source else None)

        return self._space.call(connected)

    def ask(self, address: str, port: int = PORT, timeout: float = 2.0, source: str | int = 0) -> tuple[str, str]:
        """Who answered, and whom it saw as its client."""
        with self.connect(address, port, timeout, source) as connection:
            name, client = connection.makefile().readline().split()[:2]
            return name, client

    @contextlib.contextmanager
    def more_addresses(self, addresses: list[str]) -> Iterator[None]:
        """Other addresses of the VPC, as if so many machines were behind this one link."""
        router = Namespace(f"{SANDBOX}-vpc-lab")
        own = MACHINES[self.name]
        (route,) = router.ip_json("route", "show", own)
        link = route["dev"]
        (neighbour,) = router.ip_json("neighbour", "show", own, "dev", link)
        mac = neighbour["lladdr"]
        try:
            self._space.ip(*(f"address replace {address}/32 dev eth0" for address in addresses))
            router.ip(
                *(f"route replace {address}/32 dev {link}" for address in addresses),
                *(f"neighbour replace {address} lladdr {mac} dev {link} nud permanent" for address in addresses),
            )
            yield
        finally:
            router.ip(
                *(f"route delete {address}/32 dev {link}" for address in addresses),
                *(f"neighbour delete {address} dev {link}" for address in addresses),
            )
            self._space.ip(*(f"address delete {address}/32 dev eth0" for address in addresses))
            router.close()

    def outcome(self, address: str, port: int = PORT, timeout: float = 0.4) -> str:
        """A backend's name, or what came instead of one."""
        try:
            return self.ask(address, port, timeout)[0]
        except ConnectionRefusedError:
            return "refused"
        except ConnectionResetError:
            return "reset"
        except TimeoutError:
            return "timed out"
        except ValueError:
            return "closed"
        except OSError:
            return "unreachable"

    def datagrams(self, port: int = 0) -> socket.socket:
        """A socket for UDP, from a port that none had before it."""

        def made() -> socket.socket:
            opened = socket.socket(socket.AF_INET6 if self.ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
            opened.bind(("", port or next(_PORTS)))
            opened.settimeout(1.0)
            return opened

        return self._space.call(made)

    def tell(self, address: str, data: bytes = b"x", port: int = PORT, timeout: float = 1.0) -> list[str]:
        """The answer of a UDP server to one datagram from a new port: who it is, and what it saw."""
        with self.datagrams() as opened:
            opened.settimeout(timeout)
            opened.connect((address, port))
            opened.send(data)
            return opened.recv(65535).decode().split()

    def told(self, address: str, data: bytes = b"x", port: int = PORT, timeout: float = 0.4) -> str:
        """A UDP server's name, or what came instead of an answer."""
        try:
            return self.tell(address, data, port, timeout)[0]
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "timed out"
