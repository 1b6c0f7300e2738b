# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a master: lead connections to the load balancer's address home, while the apiserver of this machine is ready.

A layer-4 load balancer never answers its own servers. While /readyz of the own apiserver is green, connections from here and from pods
go there instead; when it is not, the rule is taken away, and they go to the load balancer as everybody else's do.
"""

from __future__ import annotations

import argparse
import http.client
import signal
import ssl
import subprocess
import sys
import threading

TABLE = "clusterfront_redirect"


def ruleset(address: str, port: int, target: int) -> str:
    """The one table, for this address and this port alone."""
    family = "ip6" if ":" in address else "ip"
    rule = f"{family} daddr {address} tcp dport {port} redirect to :{target}"
    chains = "".join(
        f"chain {hook} {{ type nat hook {hook} priority -110; policy accept; {rule}; }}\n"
        for hook in ("output", "prerouting")
    )
    return f"table {family} {TABLE} {{\n{chains}}}\n"


def nft(text: str) -> bool:
    """Whether the kernel took it; what it says otherwise is for the journal."""
    return subprocess.run(["nft", "-f", "-"], input=text, text=True, check=False).returncode == 0


def ready(port: int) -> bool:
    """Whether the apiserver of this machine says so."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("address", help="the load balancer's")
    parser.add_argument("port", type=int, help="the load balancer's")
    parser.add_argument("target", type=int, help="the port of the apiserver of this machine")
    options = parser.parse_args()
    family = "ip6" if ":" in options.address else "ip"
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    there, failures = False, 0
    # what a run that was killed has left
    nft(f"table {family} {TABLE} {{}}\ndelete table {family} {TABLE}\n")
    while not ended.wait(1):
        well = ready(options.target)
        failures = 0 if well else failures + 1
        if well and not there:
            there = nft(ruleset(options.address, options.port, options.target))
        # one answer that was late is no reason
        elif there and failures >= 2:
            there = not nft(f"delete table {family} {TABLE}\n")
    if there:
        nft(f"delete table {family} {TABLE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
