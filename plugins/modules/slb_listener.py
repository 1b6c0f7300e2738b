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
    - The protocol that the listener speaks. A port may have one listener for V(udp) beside
      one of the others.
    type: str
    required: true
    choices:
    - tcp
    - udp
    - http
    - https
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
  sticky_session:
    description:
    - Whether a client keeps its server by a cookie. A new one does not. Only for V(http) and V(https).
    type: bool
  sticky_session_type:
    description:
    - Whose cookie it is, V(insert) for one of the load balancer, V(server) for one of the application. Needed to turn
      O(sticky_session) on.
    type: str
    choices:
    - insert
    - server
  cookie:
    description:
    - The name of the application's cookie, up to 200 characters. Needed with O(sticky_session_type=server).
    type: str
  cookie_timeout:
    description:
    - Seconds for which the load balancer's cookie is good, V(1) to V(86400). Needed with O(sticky_session_type=insert).
    type: int
  x_forwarded_for:
    description:
    - Whether servers are told the client's address in the header X-Forwarded-For. They are by a new listener. Only for
      V(http) and V(https), as all options that follow up to O(request_timeout).
    type: bool
  x_forwarded_for_proto:
    description:
    - Whether X-Forwarded-Proto tells the listener's protocol.
    type: bool
  x_forwarded_for_slb_id:
    description:
    - Whether SLB-ID tells the id of the load balancer.
    type: bool
  x_forwarded_for_slb_ip:
    description:
    - Whether SLB-IP tells the address of the load balancer.
    type: bool
  x_forwarded_for_slb_port:
    description:
    - Whether X-Forwarded-Port tells the port of the listener.
    type: bool
  x_forwarded_for_client_src_port:
    description:
    - Whether X-Forwarded-Client-srcport tells the client's port.
    type: bool
  gzip:
    description:
    - Whether answers of common types of text are compressed. They are by a new listener.
    type: bool
  http2:
    description:
    - Whether clients may speak HTTP/2. They may with a new listener. Only for V(https).
    type: bool
  idle_timeout:
    description:
    - Seconds for which a connection may be without a request, V(1) to V(60). V(15) for a new listener.
    type: int
  request_timeout:
    description:
    - Seconds that a server may take to answer, V(1) to V(180); then the client gets 504. V(60) for a new listener.
    type: int
  forward_port:
    description:
    - Port of an V(https) listener of the same load balancer to which every request is redirected. Only for V(http).
    - Such a listener has nothing else but tags, and where it leads to is fixed when it is made.
    type: int
  certificate:
    description:
    - Name or id of the certificate of the listener, see M(clusterfront.ha.slb_certificate). Only for V(https), which needs
      one. Another one takes its place without a gap.
    - Of several of one name and owner the youngest is meant.
    type: str
  ca_certificate:
    description:
    - Name or id of the CA certificate that has to have signed the certificates of clients, see
      M(clusterfront.ha.slb_ca_certificate). An empty text lets clients in without one. Only for V(https).
    type: str
  tls_policy:
    description:
    - Which versions of TLS and cipher suites are taken. One of the cloud's own (V(tls_cipher_policy_1_0) for a new
      listener, V(tls_cipher_policy_1_1), V(tls_cipher_policy_1_2), V(tls_cipher_policy_1_2_strict) or
      V(tls_cipher_policy_1_2_strict_with_1_3)), or the name or id of one of your own, see
      M(clusterfront.ha.slb_tls_policy). Only for V(https).
    type: str
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
      method:
        description:
        - The method of the check of an V(http) or V(https) listener. V(head) for a new one.
        type: str
        choices:
        - head
        - get
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
  rules:
    description:
    - Forwarding rules of an V(http) or V(https) listener, 40 at most. Rules that are not listed stay, unless O(purge_rules)
      is true.
    type: list
    elements: dict
    suboptions:
      domain:
        description:
        - 'The domain that a request is for, as V(www.example.com), or V(*.example.com) for all below it. A rule has this,
          O(rules[].url), or both, and is known by the two: they never change.'
        - An exact domain counts before one with a star, the longest star before the others, and any domain before none.
        type: str
      url:
        description:
        - What the path of a request begins with, as V(/api). Of several that fit, the longest counts.
        type: str
      name:
        description:
        - Name of the rule, which no other rule of its listener has; 1 to 40 letters, digits, V(-), V(/), V(.) or V(_).
          Where nothing is said, a new rule is named after its domain and URL.
        type: str
      server_group:
        description:
        - Name or id of the vServer group that gets the requests. Needed for a new rule.
        type: str
      listener_sync:
        description:
        - Whether scheduler, stickiness and health check are those of the listener. They are for a new rule, unless it is
          given one of its own; V(true) beside one is refused.
        type: bool
      scheduler:
        description:
        - How requests are spread, V(wrr) by weight or V(rr) in turn.
        type: str
        choices:
        - wrr
        - rr
      sticky_session:
        description:
        - Whether a client keeps its server by a cookie. A new one does not.
        type: bool
      sticky_session_type:
        description:
        - Whose cookie it is, V(insert) for one of the load balancer, V(server) for one of the application. Needed to turn
          O(rules[].sticky_session) on.
        type: str
        choices:
        - insert
        - server
      cookie:
        description:
        - The name of the application's cookie, up to 200 characters. Needed with O(rules[].sticky_session_type=server).
        type: str
      cookie_timeout:
        description:
        - Seconds for which the load balancer's cookie is good, V(1) to V(86400). Needed with
          O(rules[].sticky_session_type=insert).
        type: int
      health_check:
        description:
        - How the servers of the group are checked for this rule. What is not given stays as it is.
        type: dict
        suboptions:
          enabled:
            description:
            - Whether the servers of the group are checked. A rule with settings of its own checks them.
            type: bool
          connect_port:
            description:
            - The port that is checked; the server's own port where nothing is said. V(-520) goes back to it.
            type: int
          timeout:
            description:
            - Seconds to wait for an answer, V(1) to V(300).
            type: int
          interval:
            description:
            - Seconds between two checks, V(1) to V(50).
            type: int
          healthy_threshold:
            description:
            - Good checks in a row that bring a server back, V(2) to V(10).
            type: int
          unhealthy_threshold:
            description:
            - Bad checks in a row that take a server out, V(2) to V(10).
            type: int
          domain:
            description:
            - The Host header of the check. An empty one is the server's own address.
            type: str
          uri:
            description:
            - The path that is asked for. It begins with V(/) and has at most 80 characters.
            type: str
          http_codes:
            description:
            - The answers that are good. V(http_2xx) where nothing is said.
            type: list
            elements: str
            choices:
            - http_2xx
            - http_3xx
            - http_4xx
            - http_5xx
      state:
        description:
        - Whether the rule is there.
        type: str
        choices:
        - present
        - absent
        default: present
  purge_rules:
    description:
    - Whether rules that are not in O(rules) are removed, whoever made them. Means nothing where O(rules) is not given.
    type: bool
    default: false
  domain_extensions:
    description:
    - Further domains of an V(https) listener, each with a certificate of its own. Domains that are not listed stay, unless
      O(purge_domain_extensions) is true.
    type: list
    elements: dict
    suboptions:
      domain:
        description:
        - The domain, as V(www.example.com), or V(*.example.com) for all below it.
        type: str
        required: true
      certificate:
        description:
        - Name or id of the certificate that is shown to those who ask for this domain. Needed for a new one; another one
          takes its place without a gap.
        type: str
      state:
        description:
        - Whether the domain is there. One that a rule is about is not removed; the error names the rule.
        type: str
        choices:
        - present
        - absent
        default: present
  purge_domain_extensions:
    description:
    - Whether domains that are not in O(domain_extensions) are removed, whoever made them. Means nothing where
      O(domain_extensions) is not given.
    type: bool
    default: false
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
- module: clusterfront.ha.slb_rule
- module: clusterfront.ha.slb_certificate
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

- name: HTTPS with a certificate of the region, TLS 1.2 and newer
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-web
    port: 8443
    protocol: https
    server_group: web
    certificate: www
    tls_policy: tls_cipher_policy_1_2
    x_forwarded_for_proto: true
    health_check: {uri: /readyz, method: get}

- name: A client keeps its server for ten minutes
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-web
    port: 8443
    protocol: https
    sticky_session: true
    sticky_session_type: insert
    cookie_timeout: 600

- name: Redirect HTTP to it
  clusterfront.ha.slb_listener:
    region: cn-hangzhou
    load_balancer: prod-web
    port: 8080
    protocol: http
    forward_port: 8443

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
    sticky_session: null
    sticky_session_type: null
    cookie: null
    cookie_timeout: null
    x_forwarded_for: null
    x_forwarded_for_proto: null
    x_forwarded_for_slb_id: null
    x_forwarded_for_slb_ip: null
    x_forwarded_for_slb_port: null
    x_forwarded_for_client_src_port: null
    gzip: null
    http2: null
    idle_timeout: null
    request_timeout: null
    forward_port: null
    certificate: null
    ca_certificate: null
    tls_policy: null
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
      method: null
      request: null
      expected: null
    access_list:
      lists: []
      type: null
    rules: null
    domain_extensions: null
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
