#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_listener
short_description: A listener of an SLB instance
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Makes, changes, starts, stops or removes a listener.
- An option that is not given is left as it is; a change sends the whole set, because the API may reset what a call
  leaves out.
extends_documentation_fragment:
- clusterfront.ha._attributes
- clusterfront.ha._attributes.actiongroup_slb
- clusterfront.ha.connection
- clusterfront.ha.quotas
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  load_balancer:
    description:
    - Id or name of the SLB instance, which has to exist.
    type: str
    required: true
  port:
    description:
    - The port that the listener serves.
    type: int
    required: true
  protocol:
    description:
    - The protocol that the listener speaks. A port may have one listener for V(tcp) and one for V(udp).
    type: str
    required: true
    choices:
    - tcp
    - udp
  server_group:
    description:
    - Name or id of the vServer group that gets the connections.
    type: str
  failover_group:
    description:
    - Name or id of the primary/secondary group that gets the connections, in place of a vServer group or the default pool.
    - A listener goes over from one group to another, of either kind, in one call.
    type: str
  backend_port:
    description:
    - Port of the servers of the default pool, for a listener without a group. Fixed when the listener is made.
    type: int
  scheduler:
    description:
    - 'How connections are spread: V(wrr) by weight (what a new listener does), V(rr) in turn, V(sch) by a hash
      of the client''s address, V(tch) by a hash of addresses and ports, V(qch) by the connection ID of QUIC (V(udp) only).
      A hash cannot become V(wrr) or V(rr) later, nor the other way.'
    type: str
    choices:
    - wrr
    - rr
    - sch
    - tch
    - qch
  bandwidth:
    description:
    - Mbit/s, V(1) to V(5120), or V(-1) for no limit (what a new listener has).
    - On an instance that is paid by its bandwidth, the listeners have no more together than the instance has.
    type: int
  persistence_timeout:
    description:
    - Seconds for which a client's address keeps its server, up to V(3600); V(0) is off. Only for V(tcp).
    type: int
  established_timeout:
    description:
    - Seconds after which an idle connection is ended, V(10) to V(900). V(900) for a new listener. Only for V(tcp).
    type: int
  connection_drain:
    description:
    - Whether connections to a server that is taken out may end by themselves. Only for V(tcp).
    type: bool
  connection_drain_timeout:
    description:
    - Seconds that they may take, V(10) to V(900). Needed to turn O(connection_drain) on.
    type: int
  proxy_protocol_v2:
    description:
    - Whether backends are told the client's address by PROXY protocol version 2.
    type: bool
  description:
    description:
    - A text of at most 256 characters. An empty one takes it away.
    type: str
  health_check:
    description:
    - How backends are checked. What is not given stays as it is.
    type: dict
    suboptions:
      enabled:
        description:
        - Whether the backends are checked. A new listener checks them.
        type: bool
      type:
        description:
        - How they are checked. V(http) sends a HEAD request over plain HTTP; the cloud cannot check over TLS. Only for a V(tcp)
          listener; a new one checks by V(tcp).
        type: str
        choices:
        - tcp
        - http
      connect_port:
        description:
        - The port that is checked; the backend's own port where nothing is said. V(-520), the API's word for that port, goes
          back to it, and is shown as null.
        type: int
      timeout:
        description:
        - Seconds to wait for an answer, V(1) to V(300). If it is less than O(health_check.interval) the interval counts.
          For a new listener V(5) with V(tcp), V(10) with V(udp).
        type: int
      interval:
        description:
        - Seconds between two checks, V(1) to V(50). For a new listener V(2) with V(tcp), V(5) with V(udp).
        type: int
      healthy_threshold:
        description:
        - Good checks in a row that bring a backend back, V(2) to V(10). V(3) for a new listener.
        type: int
      unhealthy_threshold:
        description:
        - Bad checks in a row that take a backend out, V(2) to V(10). V(3) for a new listener.
        type: int
      domain:
        description:
        - The Host header of an HTTP check. An empty one, and the API's word V($_ip), are the backend's own address.
        type: str
      uri:
        description:
        - The path of an HTTP check; it begins with V(/) and has at most 80 characters.
        type: str
      http_codes:
        description:
        - The answers to an HTTP check that are good. V(http_2xx) for a new listener.
        type: list
        elements: str
        choices:
        - http_2xx
        - http_3xx
        - http_4xx
        - http_5xx
      request:
        description:
        - What a check of a V(udp) listener sends, up to 64 letters and digits. It goes with O(health_check.expected).
        - Without the two a backend is well unless it answers that nobody listens on the port, so a host that is cut off
          looks well. Two empty texts go back to that.
        type: str
      expected:
        description:
        - What the backend has to answer to O(health_check.request), up to 64 letters and digits.
        type: str
  access_list:
    description:
    - Whom the listener serves. What is not given stays as it is.
    type: dict
    suboptions:
      lists:
        description:
        - Names or ids of access lists, all of them. An empty list takes the control away, so that everybody is served.
        type: list
        elements: str
      type:
        description:
        - V(white) serves only clients in the lists, V(black) all others. Other clients get no answer at all. Needed
          where there are no lists yet. See M(clusterfront.ha.slb_acl) for what an empty list does.
        type: str
        choices:
        - white
        - black
  enabled:
    description:
    - Whether the listener runs. The one option with a default that is also applied to an existing listener, because
      a run that was killed between making and starting it would otherwise leave it stopped for good.
    type: bool
    default: true
  tags:
    description:
    - Tags to set. Others stay, unless O(purge_tags) is true.
    type: dict
  purge_tags:
    description:
    - Whether tags that are not in O(tags) are removed. Those whose keys begin with V(acs:), V(aliyun) or
      V(clusterfront:) always stay.
    - Means nothing where O(tags) is not given.
    type: bool
    default: false
  state:
    description:
    - Whether the listener is there.
    type: str
    choices:
    - present
    - absent
    default: present
  owner:
    description:
    - The owner's mark on what is made. The name of the load balancer as it is given, where nothing is said.
    type: str
  allow_public:
    description:
    - Has to be V(true) to make a listener on an internet-facing instance that no access list guards, or to take the list
      away. A list of type V(white) guards if it has entries and none of them is the whole address space.
    type: bool
    default: false
seealso:
- module: clusterfront.ha.slb_listener_info
- module: clusterfront.ha.slb_frontend
- module: clusterfront.ha.slb_acl
"""

EXAMPLES = r"""
- name: TCP 6443 to a group, checked on the readiness port of HAProxy
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-api
    port: 6443
    protocol: tcp
    server_group: haproxy
    health_check: {type: http, connect_port: 8889, uri: /readyz}

- name: Keep a client on its server for ten minutes, and change nothing else
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-api
    port: 6443
    protocol: tcp
    persistence_timeout: 600

- name: DNS over UDP, checked by what a server answers
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-dns
    port: 53
    protocol: udp
    server_group: resolvers
    health_check: {connect_port: 5300, request: ping, expected: pong}
    tags: {team: platform}

- name: Syslog over UDP; one sender always reaches the same collector
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-logs
    port: 514
    protocol: udp
    server_group: collectors
    scheduler: sch

- name: Serve only the networks of an access list
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-api
    port: 6443
    protocol: tcp
    access_list: {lists: [office], type: white}

- name: Serve everybody again
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-api
    port: 6443
    protocol: tcp
    access_list: {lists: []}
"""

RETURN = r"""
listener:
  description:
  - The listener as it is now, or as check mode predicts it. Null where it is absent.
  returned: success
  type: dict
  sample:
    port: 6443
    protocol: tcp
    server_group: haproxy
    failover_group: null
    backend_port: null
    scheduler: wrr
    bandwidth: -1
    persistence_timeout: 0
    established_timeout: 900
    connection_drain: false
    connection_drain_timeout: null
    proxy_protocol_v2: false
    description: ''
    health_check:
      enabled: true
      type: http
      connect_port: 8889
      timeout: 2
      interval: 2
      healthy_threshold: 2
      unhealthy_threshold: 2
      domain: ''
      uri: /readyz
      http_codes:
      - http_2xx
      request: null
      expected: null
    access_list:
      lists: []
      type: null
    enabled: true
    tags: {}
    owner: prod-api
    status: running
steps:
  description:
  - 'The calls that the plan is made of, in their order. In check mode: the calls that a run would make.'
  returned: success
  type: list
  elements: dict
  sample:
  - object: load_balancer
    verb: create
    operation: CreateLoadBalancer
    reason: create the intranet instance prod-api
kept:
  description:
  - One sentence for each thing of others that stays, where something is removed.
  returned: success
  type: list
  elements: str
  sample:
  - 'listener tcp/8080 stays: this front end did not make it'
api_calls:
  description:
  - How many calls that read and that write were made.
  returned: success
  type: dict
  sample:
    reads: 5
    writes: 0
error:
  description:
  - The API's error.
  returned: when the API refused a call
  type: dict
  sample:
    code: SignatureDoesNotMatch
    message: Specified signature is not matched with our calculation.
    operation: DescribeLoadBalancers
    request_id: 4C1A3B2D-0000-0000-0000-000000000000
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterfront.ha.plugins.module_utils import _argspec
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, part_of_load_balancer, run
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, partial
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.state import CloudState

ARGUMENT_SPEC = argument_spec(_argspec.PART_OF, _argspec.LISTENER, {"allow_public": {"type": "bool", "default": False}})


def document(params: dict) -> FrontEnd:
    listener = {key: params[key] for key in _argspec.LISTENER}
    return partial({**part_of_load_balancer(params), "listeners": [listener], "allow_public": params["allow_public"]})


def listener(wanted: FrontEnd, state: CloudState) -> dict | None:
    found = state.listener(wanted.listeners[0].symbol)
    return found and view.listener(found)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    run(module, document, ("listener", listener))


if __name__ == "__main__":
    main()
