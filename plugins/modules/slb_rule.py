#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_rule
short_description: Forwarding rules of a listener of SLB
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Makes, changes or removes forwarding rules of an HTTP or HTTPS listener, all of a task in as few calls as the API allows.
- A rule is known by its domain and its URL. A listener has 40 rules at most, which is looked at before the first call.
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
    - The port of the listener, which has to exist.
    type: int
    required: true
  protocol:
    description:
    - Its protocol.
    type: str
    required: true
    choices:
    - http
    - https
  rules:
    description:
    - The rules. Where nothing else is said, others stay.
    type: list
    elements: dict
    required: true
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
  purge:
    description:
    - Whether rules that are not in O(rules) are removed, whoever made them.
    type: bool
    default: false
seealso:
- module: clusterfront.ha.slb_rule_info
- module: clusterfront.ha.slb_listener
- module: clusterfront.ha.slb_server_group
- module: clusterfront.ha.slb_frontend
"""

EXAMPLES = r"""
- name: The API and the pictures go to groups of their own
  clusterfront.ha.slb_rule:
    region: cn-hangzhou
    load_balancer: prod-web
    port: 443
    protocol: https
    rules:
      - {domain: api.example.com, server_group: api}
      - {domain: www.example.com, url: /static, server_group: static}
      - {url: /health, server_group: api, health_check: {uri: /readyz, interval: 5}}

- name: Clients of the shop keep their server for ten minutes
  clusterfront.ha.slb_rule:
    region: cn-hangzhou
    load_balancer: prod-web
    port: 443
    protocol: https
    rules:
      - {domain: api.example.com, sticky_session: true, sticky_session_type: insert, cookie_timeout: 600}

- name: These rules, and no others
  clusterfront.ha.slb_rule:
    region: cn-hangzhou
    load_balancer: prod-web
    port: 443
    protocol: https
    rules:
      - {domain: api.example.com, server_group: api}
    purge: true
"""

RETURN = r"""
rules:
  description:
  - The rules of the listener as they are now, or as check mode predicts them. What is null goes with the listener. Null where the
    listener is not there.
  returned: success
  type: list
  elements: dict
  sample:
  - id: rule-example
    domain: www.example.com
    url: /api
    name: www.example.com/api
    server_group: api
    listener_sync: true
    scheduler: null
    sticky_session: null
    sticky_session_type: null
    cookie: null
    cookie_timeout: null
    health_check:
      enabled: null
      connect_port: null
      timeout: null
      interval: null
      healthy_threshold: null
      unhealthy_threshold: null
      domain: null
      uri: null
      http_codes: null
steps:
  description:
  - 'The calls that the plan is made of, in their order. In check mode: the calls that a run would make.'
  returned: success
  type: list
  elements: dict
  sample:
  - object: rule:https/443
    verb: create
    operation: CreateRules
    reason: 'create 1 rule of https/443: www.example.com/api'
kept:
  description:
  - One sentence for each thing of others that stays, where something is removed.
  returned: success
  type: list
  elements: str
  sample: []
api_calls:
  description:
  - How many calls that read and that write were made.
  returned: success
  type: dict
  sample:
    reads: 2
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

ARGUMENT_SPEC = argument_spec(
    {
        "load_balancer": {"type": "str", "required": True},
        "port": {"type": "int", "required": True},
        "protocol": {"type": "str", "choices": ["http", "https"], "required": True},
        "rules": {"type": "list", "elements": "dict", "options": _argspec.RULE, "required": True},
        "purge": {"type": "bool", "default": False},
    },
    _argspec.QUOTAS,
)


def document(params: dict) -> FrontEnd:
    listener = {
        "port": params["port"],
        "protocol": params["protocol"],
        "rules": params["rules"],
        "purge_rules": params["purge"],
        "exists": True,
    }
    return partial({**part_of_load_balancer(params), "listeners": [listener]})


def rules(wanted: FrontEnd, state: CloudState) -> list | None:
    found = state.listener(wanted.listeners[0].symbol)
    return None if found is None else view.rules(found)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    run(module, document, ("rules", rules))


if __name__ == "__main__":
    main()
