# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of keepalived that the vip role renders."""

from __future__ import annotations

import re

ROLE = "vip"
TEMPLATE = "keepalived.conf.j2"
BASE = {
    "vip_address": "192.0.2.100/24",
    "vip_interface": "eth0",
    "vip_own_address": "192.0.2.21",
    "vip_peers": ["192.0.2.22", "192.0.2.23"],
}
CASES = {
    "plain": BASE,
    "stated": {**BASE, "vip_router_id": 7, "vip_priority": 50},
    "version_6": {**BASE, "vip_address": "2001:db8::ff/64"},
}
REFUSED = {
    "prefix": ({"vip_address": "192.0.2.100"}, "vip_address is '192.0.2.100'; it has to be an address with its prefix"),
    "interface": ({"vip_interface": ""}, "vip_interface is empty"),
    "own": ({"vip_own_address": ""}, "vip_own_address is empty"),
    "peers": ({"vip_peers": []}, "vip_peers is empty; an address that can't move needs no keepalived"),
    "myself": ({"vip_peers": ["192.0.2.21"]}, "vip_peers has 192.0.2.21, which is this host; leave it out."),
    "router": ({"vip_router_id": 256}, "vip_router_id is 256; it has to be a number from 1 to 255."),
    "priority": ({"vip_priority": 255}, "vip_priority is 255; it has to be a number from 1 to 254."),
    "port": ({"vip_check_port": 0}, "vip_check_port is 0; a port is a number from 1 to 65535."),
}


def test_peers_are_named_and_nobody_takes_the_address_back(rendered):
    text = rendered["plain"]
    assert "state BACKUP" in text and "nopreempt" in text
    peers = re.search(r"unicast_peer \{([^}]*)\}", text).group(1).split()
    assert peers == ["192.0.2.22", "192.0.2.23"] and "unicast_src_ip 192.0.2.21" in text
    assert "192.0.2.100/24 dev eth0" in text


def test_every_address_has_a_router_of_its_own(rendered):
    assert "virtual_router_id 100" in rendered["plain"] and "priority 100" in rendered["plain"]
    assert "virtual_router_id 7" in rendered["stated"] and "priority 50" in rendered["stated"]
    assert "virtual_router_id 255" in rendered["version_6"]


def test_what_is_wrong_is_told(render, root, collections_path, tmp_path):
    template = tmp_path / "problems.j2"
    template.write_text("{{ __vip_problems | join(' ') }}")
    cases = {name: {**BASE, **change} for name, (change, dummy) in REFUSED.items()}
    texts = render(root, collections_path, tmp_path, ROLE, template, {**cases, "right": BASE})
    assert texts["right"] == ""
    for name, (dummy, sentence) in REFUSED.items():
        assert texts[name].startswith(sentence), (name, texts[name])
