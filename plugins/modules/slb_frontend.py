#!/usr/bin/python
# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slb_frontend
short_description: A whole front end on Alibaba Cloud SLB as one document
version_added: 0.1.0
author:
- clusterfront.ha contributors (@clusterfront)
description:
- Makes an SLB instance, its groups of servers, its default pool, its listeners with their rules and domains, and the access lists,
  certificates and TLS policies that these need, as one document says, or changes or removes them.
- The document is compared with the cloud as a whole. The plan that comes of it decides whether anything changes,
  what the diff shows, what check mode predicts (on an empty cloud too), and which calls are made.
- An option that is not given is left as it is.
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
  name:
    description:
    - Name of the front end. It is also the owner's mark on all that is made for it.
    type: str
    required: true
  load_balancer:
    description:
    - The SLB instance. Found by O(load_balancer.id), else by O(load_balancer.name), which is O(name) where it is
      not given.
    type: dict
    suboptions:
      id:
        description:
        - Id of an existing instance. Where it is given, O(load_balancer.name) renames it.
        type: str
      name:
        description:
        - Name of the instance. Names are not unique on the cloud; two instances of one name are an error that lists
          both ids.
        type: str
      address_type:
        description:
        - V(intranet) for an address in a VPC, V(internet) for a public one. Needed to make an instance; cannot
          change.
        type: str
        choices:
        - intranet
        - internet
      vpc_id:
        description:
        - The VPC of an intranet instance. Needed to make one; cannot change.
        type: str
      vswitch_id:
        description:
        - The vSwitch of an intranet instance. Needed to make one; cannot change.
        type: str
      address:
        description:
        - A fixed private address inside the vSwitch. Chosen by the cloud where nothing is said; cannot change.
        type: str
      address_ip_version:
        description:
        - Whether the address is an IPv4 or an IPv6 one. V(ipv4) for a new instance where nothing is said; cannot
          change.
        type: str
        choices:
        - ipv4
        - ipv6
      master_zone_id:
        description:
        - The primary zone; cannot change.
        type: str
      slave_zone_id:
        description:
        - The standby zone; cannot change.
        type: str
      resource_group_id:
        description:
        - The resource group that the instance is in. A change moves it.
        type: str
      bandwidth:
        description:
        - Mbit/s of an internet instance that is paid by bandwidth, V(1) to V(5120). No other instance has one.
        type: int
      internet_charge_type:
        description:
        - How an internet instance's traffic is paid. V(paybybandwidth) needs O(load_balancer.bandwidth) and an
          O(load_balancer.instance_charge_type) of V(PayBySpec).
        - A change takes effect at 00:00 of the next day. Until then the cloud locks the instance and refuses other
          changes of it, so the change is made last and told as a warning.
        type: str
        choices:
        - paybytraffic
        - paybybandwidth
      instance_charge_type:
        description:
        - How the instance is paid. A new one is V(PayByCLCU), for hardly anything else is sold any more.
        - V(PayBySpec) can become V(PayByCLCU), which sets the traffic to V(paybytraffic). There is no way back.
        type: str
        choices:
        - PayByCLCU
        - PayBySpec
      spec:
        description:
        - The size of an instance that is paid by it; O(load_balancer.instance_charge_type) is V(PayBySpec) then.
          Needed to make such an instance.
        - V(slb.lcu.elastic) is what any other instance has.
        type: str
        choices:
        - slb.s1.small
        - slb.s2.small
        - slb.s2.medium
        - slb.s3.small
        - slb.s3.medium
        - slb.s3.large
        - slb.s4.large
        - slb.lcu.elastic
      delete_protection:
        description:
        - Whether the instance is protected from being deleted.
        type: bool
      modification_protection:
        description:
        - Whether the console refuses to change the instance. Calls of the API, and so this module, are never refused.
        type: dict
        suboptions:
          enabled:
            description:
            - Whether the instance is protected.
            type: bool
          reason:
            description:
            - Why, as the console shows it. 1 to 80 letters, digits, V(-), V(/), V(.) or V(_), the first a letter.
            type: str
      enabled:
        description:
        - Whether the instance works. A stopped one keeps its address and all settings and forwards nothing.
        - Where nothing is said, it is left as it is; a new one works.
        type: bool
      tags:
        description:
        - Tags to set. Others stay, unless O(load_balancer.purge_tags) is true.
        type: dict
      purge_tags:
        description:
        - Whether tags that are not in O(load_balancer.tags) are removed. Those whose keys begin with V(acs:),
          V(aliyun) or V(clusterfront:) always stay.
        - Means nothing where O(load_balancer.tags) is not given.
        type: bool
        default: false
  server_groups:
    description:
    - vServer groups of the instance. Groups that are not listed stay as they are.
    type: list
    elements: dict
    suboptions:
      name:
        description:
        - Name of the group.
        type: str
        required: true
      backends:
        description:
        - The servers of the group. Where the option is absent, they stay as they are.
        type: list
        elements: dict
        suboptions:
          server_id:
            description:
            - Id of an ECS instance. A server is named by exactly one of this, O(server_groups[].backends[].server_name),
              O(server_groups[].backends[].server_tags), O(server_groups[].backends[].private_ip) and
              O(server_groups[].backends[].eni_id).
            - A server that was released is removed by its id, with O(server_groups[].backends[].state=absent).
            type: str
          server_name:
            description:
            - Exact name of an ECS instance. A name of none, or of several, is an error.
            type: str
          server_tags:
            description:
            - Tags of ECS instances. Every running server of the VPC that has all of them is a backend, each with this
              entry's port, weight and description; so is one that does not run, if it is a member already.
            - Tags that no server has are an error.
            type: dict
          private_ip:
            description:
            - Primary private address of an ECS instance, else an address of a network interface, primary or secondary;
              its id is looked up. An address of none, or of several, is an error.
            - Beside O(server_groups[].backends[].eni_id), the address of that interface that is meant.
            type: str
          eni_id:
            description:
            - Id of a network interface that is attached. Its primary address is meant, unless
              O(server_groups[].backends[].private_ip) is given too.
            - Network interfaces need an instance that is no shared one.
            type: str
          port:
            description:
            - The port on the server.
            type: int
            required: true
          weight:
            description:
            - Share of new connections, V(0) to V(100); V(0) gets no new ones. A new member gets V(100).
            type: int
          description:
            description:
            - Your own text. On the cloud the owner's mark stands before it; 80 characters together.
            type: str
          state:
            description:
            - V(absent) removes this server, whatever is to become of the others. One that is no member is no error.
            type: str
            choices:
            - present
            - absent
            default: present
      purge:
        description:
        - 'Which members that are not listed are removed: V(none), those that this owner added (V(owned)), or V(all).'
        type: str
        choices:
        - none
        - owned
        - all
        default: owned
      state:
        description:
        - Whether the group is there.
        type: str
        choices:
        - present
        - absent
        default: present
  failover_groups:
    description:
    - Primary/secondary groups of the instance, of exactly two servers each. The standby serves while the primary is not healthy.
      Groups that are not listed stay as they are.
    - The cloud changes nothing of such a group. A difference is an error that says what to do.
    type: list
    elements: dict
    suboptions:
      name:
        description:
        - Name of the group.
        type: str
        required: true
      primary:
        description:
        - The server that serves. Needed to make the group.
        type: dict
        suboptions:
          server_id:
            description:
            - Id of an ECS instance. A server is named by exactly one of this, O(failover_groups[].primary.server_name),
              O(failover_groups[].primary.private_ip) and O(failover_groups[].primary.eni_id).
            type: str
          server_name:
            description:
            - Exact name of an ECS instance. A name of none, or of several, is an error.
            type: str
          private_ip:
            description:
            - Primary private address of an ECS instance, else an address of a network interface, primary or secondary;
              its id is looked up. An address of none, or of several, is an error.
            - Beside O(failover_groups[].primary.eni_id), the address of that interface that is meant.
            type: str
          eni_id:
            description:
            - Id of a network interface that is attached. Its primary address is meant, unless
              O(failover_groups[].primary.private_ip) is given too.
            - Network interfaces need an instance that is no shared one.
            type: str
          port:
            description:
            - The port on the server.
            type: int
            required: true
          description:
            description:
            - Your own text, up to 80 characters.
            type: str
      standby:
        description:
        - The server that serves while the primary one is not healthy. Needed to make the group.
        type: dict
        suboptions:
          server_id:
            description:
            - Id of an ECS instance. A server is named by exactly one of this, O(failover_groups[].standby.server_name),
              O(failover_groups[].standby.private_ip) and O(failover_groups[].standby.eni_id).
            type: str
          server_name:
            description:
            - Exact name of an ECS instance. A name of none, or of several, is an error.
            type: str
          private_ip:
            description:
            - Primary private address of an ECS instance, else an address of a network interface, primary or secondary;
              its id is looked up. An address of none, or of several, is an error.
            - Beside O(failover_groups[].standby.eni_id), the address of that interface that is meant.
            type: str
          eni_id:
            description:
            - Id of a network interface that is attached. Its primary address is meant, unless
              O(failover_groups[].standby.private_ip) is given too.
            - Network interfaces need an instance that is no shared one.
            type: str
          port:
            description:
            - The port on the server.
            type: int
            required: true
          description:
            description:
            - Your own text, up to 80 characters.
            type: str
      state:
        description:
        - Whether the group is there.
        type: str
        choices:
        - present
        - absent
        default: present
  default_pool:
    description:
    - The servers of the instance itself, which listeners without a group use, each on its O(listeners[].backend_port).
    type: dict
    suboptions:
      backends:
        description:
        - The servers of the pool. Where the option is absent, they stay as they are.
        type: list
        elements: dict
        suboptions:
          server_id:
            description:
            - Id of an ECS instance. A server is named by exactly one of this, O(default_pool.backends[].server_name),
              O(default_pool.backends[].server_tags), O(default_pool.backends[].private_ip) and
              O(default_pool.backends[].eni_id).
            - A server that was released is removed by its id, with O(default_pool.backends[].state=absent).
            type: str
          server_name:
            description:
            - Exact name of an ECS instance. A name of none, or of several, is an error.
            type: str
          server_tags:
            description:
            - Tags of ECS instances. Every running server of the VPC that has all of them is a backend, each with this
              entry's port, weight and description; so is one that does not run, if it is a member already.
            - Tags that no server has are an error.
            type: dict
          private_ip:
            description:
            - Primary private address of an ECS instance, else an address of a network interface, primary or secondary;
              its id is looked up. An address of none, or of several, is an error.
            - Beside O(default_pool.backends[].eni_id), the address of that interface that is meant.
            type: str
          eni_id:
            description:
            - Id of a network interface that is attached. Its primary address is meant, unless
              O(default_pool.backends[].private_ip) is given too.
            - Network interfaces need an instance that is no shared one.
            type: str
          weight:
            description:
            - Share of new connections, V(0) to V(100); V(0) gets no new ones. A new member gets V(100).
            type: int
          description:
            description:
            - Your own text. On the cloud the owner's mark stands before it; 80 characters together.
            type: str
          state:
            description:
            - V(absent) removes this server, whatever is to become of the others. One that is no member is no error.
            type: str
            choices:
            - present
            - absent
            default: present
      purge:
        description:
        - 'Which servers that are not listed are removed: V(none), those that this owner added (V(owned)), or V(all).'
        type: str
        choices:
        - none
        - owned
        - all
        default: owned
  listeners:
    description:
    - Listeners of the instance. Listeners that are not listed stay as they are.
    type: list
    elements: dict
    suboptions:
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
        - Seconds that they may take, V(10) to V(900). Needed to turn O(listeners[].connection_drain) on.
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
          O(listeners[].sticky_session) on.
        type: str
        choices:
        - insert
        - server
      cookie:
        description:
        - The name of the application's cookie, up to 200 characters. Needed with O(listeners[].sticky_session_type=server).
        type: str
      cookie_timeout:
        description:
        - Seconds for which the load balancer's cookie is good, V(1) to V(86400). Needed with
          O(listeners[].sticky_session_type=insert).
        type: int
      x_forwarded_for:
        description:
        - Whether servers are told the client's address in the header X-Forwarded-For. They are by a new listener. Only for
          V(http) and V(https), as all options that follow up to O(listeners[].request_timeout).
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
        - Name or id of the certificate of the listener, see M(clusterfront.ha.slb_certificate). Only for V(https), which
          needs one. Another one takes its place without a gap.
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
            - Seconds to wait for an answer, V(1) to V(300). If it is less than O(listeners[].health_check.interval) the interval counts.
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
            - What a check of a V(udp) listener sends, up to 64 letters and digits. It goes with O(listeners[].health_check.expected).
            - Without the two a backend is well unless it answers that nobody listens on the port, so a host that is cut off
              looks well. Two empty texts go back to that.
            type: str
          expected:
            description:
            - What the backend has to answer to O(listeners[].health_check.request), up to 64 letters and digits.
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
        - Forwarding rules of an V(http) or V(https) listener, 40 at most. Rules that are not listed stay, unless
          O(listeners[].purge_rules) is true.
        type: list
        elements: dict
        suboptions:
          domain:
            description:
            - 'The domain that a request is for, as V(www.example.com), or V(*.example.com) for all below it. A rule has
              this, O(listeners[].rules[].url), or both, and is known by the two: they never change.'
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
            - Whether scheduler, stickiness and health check are those of the listener. They are for a new rule, unless it
              is given one of its own; V(true) beside one is refused.
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
            - Whose cookie it is, V(insert) for one of the load balancer, V(server) for one of the application. Needed to
              turn O(listeners[].rules[].sticky_session) on.
            type: str
            choices:
            - insert
            - server
          cookie:
            description:
            - The name of the application's cookie, up to 200 characters. Needed with
              O(listeners[].rules[].sticky_session_type=server).
            type: str
          cookie_timeout:
            description:
            - Seconds for which the load balancer's cookie is good, V(1) to V(86400). Needed with
              O(listeners[].rules[].sticky_session_type=insert).
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
        - Whether rules that are not in O(listeners[].rules) are removed, whoever made them. Means nothing where
          O(listeners[].rules) is not given.
        type: bool
        default: false
      domain_extensions:
        description:
        - Further domains of an V(https) listener, each with a certificate of its own. Domains that are not listed stay,
          unless O(listeners[].purge_domain_extensions) is true.
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
            - Name or id of the certificate that is shown to those who ask for this domain. Needed for a new one; another
              one takes its place without a gap.
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
        - Whether domains that are not in O(listeners[].domain_extensions) are removed, whoever made them. Means nothing
          where O(listeners[].domain_extensions) is not given.
        type: bool
        default: false
      enabled:
        description:
        - Whether the listener runs. The one option with a default that is also applied to an existing listener,
          because a run that was killed between making and starting it would otherwise leave it stopped for good.
        type: bool
        default: true
      tags:
        description:
        - Tags to set. Others stay, unless O(listeners[].purge_tags) is true.
        type: dict
      purge_tags:
        description:
        - Whether tags that are not in O(listeners[].tags) are removed. Those whose keys begin with V(acs:), V(aliyun) or
          V(clusterfront:) always stay.
        - Means nothing where O(listeners[].tags) is not given.
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
  access_lists:
    description:
    - Access control lists that listeners refer to. They belong to the region, so other load balancers may use them too.
    type: list
    elements: dict
    suboptions:
      id:
        description:
        - Id of an existing list. Where it is given, O(access_lists[].name) renames it.
        type: str
      name:
        description:
        - Name of the list. It is the only one of that name in its region. Either this or O(access_lists[].id) is needed.
        type: str
      address_ip_version:
        description:
        - The family of the networks. V(ipv4) for a new list; it cannot change. A listener takes only lists of the family
          of its load balancer.
        type: str
        choices:
        - ipv4
        - ipv6
      entries:
        description:
        - The networks of the list, 300 at most. Where the option is absent, they stay as they are.
        - New networks are added before others are removed, so that the list is not empty on the way. Only a change of the
          one comment of a list of one network removes it for a moment, because the API changes no comment in place.
        type: list
        elements: dict
        suboptions:
          cidr:
            description:
            - A network. A bare address is a network of one, V(/32) or V(/128).
            type: str
            required: true
          comment:
            description:
            - Your own text. Where it is absent, the text of an existing network stays.
            type: str
      purge_entries:
        description:
        - Whether networks that are not in O(access_lists[].entries) are removed, whoever added them.
        type: bool
        default: true
      tags:
        description:
        - Tags to set. Other tags stay.
        type: dict
      caller_cidrs:
        description:
        - Networks that have to get through, such as that of the machine that runs this. There is a warning where the list
          shuts out one of them. A list that no listener uses yet is looked at as an allow list.
        type: list
        elements: str
      state:
        description:
        - Whether the list is there. A list that a listener uses is not deleted; the error names all of them.
        type: str
        choices:
        - present
        - absent
        default: present
  certificates:
    description:
    - Certificates of servers, which belong to the region. Those that are not listed stay as they are.
    type: list
    elements: dict
    suboptions:
      id:
        description:
        - Id of an existing certificate. What was uploaded never changes, so it goes with O(certificates[].name) and
          O(certificates[].tags) only, or with O(certificates[].state=absent).
        type: str
      name:
        description:
        - Name of the certificate, 1 to 80 letters, digits, V(.), V(_) or V(-), the first a letter. Either this or
          O(certificates[].id) is needed.
        - 'A certificate is known by its fingerprint: the same one is never uploaded twice, whatever its name is. Another
          one under a name that is there already is its successor, see O(certificates[].keep_old).'
        type: str
      certificate:
        description:
        - The certificate in PEM, the server's own first, then the one that signed it, and so on. Where neither this nor
          O(certificates[].certificate_path) is given, an existing one of the name is meant.
        type: str
      certificate_path:
        description:
        - 'File with the PEM, where the module runs: on the controller, for a play on localhost.'
        type: path
      keep_old:
        description:
        - Seconds for which an older one of the same name and owner stays after its successor was uploaded. V(0) removes it
          at the end of the same run; after a longer time the next run does.
        - Where nothing is said, older ones stay. One that something uses always does, with a warning.
        type: float
      tags:
        description:
        - Tags to set. Other tags stay.
        type: dict
      state:
        description:
        - Whether the certificate is there. One that a listener or a further domain uses is not deleted; the error names all
          of them.
        type: str
        choices:
        - present
        - absent
        default: present
      private_key:
        description:
        - The key of the certificate in PEM, without a passphrase. Needed for an upload only. It is never shown and cannot
          be read again.
        type: str
      private_key_path:
        description:
        - File with the key, where the module runs.
        type: path
  ca_certificates:
    description:
    - CA certificates for the certificates of clients, which belong to the region. Those that are not listed stay as they
      are.
    type: list
    elements: dict
    suboptions:
      id:
        description:
        - Id of an existing CA certificate. What was uploaded never changes, so it goes with O(ca_certificates[].name) and
          O(ca_certificates[].tags) only, or with O(ca_certificates[].state=absent).
        type: str
      name:
        description:
        - Name of the CA certificate, 1 to 80 letters, digits, V(.), V(_) or V(-), the first a letter. Either this or
          O(ca_certificates[].id) is needed.
        - 'A CA certificate is known by its fingerprint: the same one is never uploaded twice, whatever its name is. Another
          one under a name that is there already is its successor, see O(ca_certificates[].keep_old).'
        type: str
      certificate:
        description:
        - The CA certificate in PEM. Where neither this nor O(ca_certificates[].certificate_path) is given, an existing one
          of the name is meant.
        type: str
      certificate_path:
        description:
        - 'File with the PEM, where the module runs: on the controller, for a play on localhost.'
        type: path
      keep_old:
        description:
        - Seconds for which an older one of the same name and owner stays after its successor was uploaded. V(0) removes it
          at the end of the same run; after a longer time the next run does.
        - Where nothing is said, older ones stay. One that something uses always does, with a warning.
        type: float
      tags:
        description:
        - Tags to set. Other tags stay.
        type: dict
      state:
        description:
        - Whether the CA certificate is there. One that a listener uses is not deleted; the error names all of them.
        type: str
        choices:
        - present
        - absent
        default: present
  tls_policies:
    description:
    - Policies of TLS, which belong to the region. Those that are not listed stay as they are.
    type: list
    elements: dict
    suboptions:
      id:
        description:
        - Id of an existing policy. Where it is given, O(tls_policies[].name) renames it.
        type: str
      name:
        description:
        - Name of the policy, 2 to 200 letters, digits, V(.), V(_) or V(-), the first a letter. Either this or
          O(tls_policies[].id) is needed.
        type: str
      tls_versions:
        description:
        - The versions of TLS that are taken. Needed for a new policy.
        type: list
        elements: str
        choices:
        - TLSv1.0
        - TLSv1.1
        - TLSv1.2
        - TLSv1.3
      ciphers:
        description:
        - The cipher suites that are taken, 32 at most, by the names of OpenSSL, as V(ECDHE-RSA-AES128-GCM-SHA256) or
          V(TLS_AES_128_GCM_SHA256). Each version needs one of its own. Needed for a new policy.
        type: list
        elements: str
      state:
        description:
        - Whether the policy is there. One that a listener uses is not deleted; the error names all of them. Policies have
          no tags, so a removal of a whole front end takes only those along that the document lists.
        type: str
        choices:
        - present
        - absent
        default: present
  allow_public:
    description:
    - Has to be V(true) to make a listener on an internet-facing instance that no access list guards, or to take the list
      away. A list of type V(white) guards if it has entries and none of them is the whole address space.
    type: bool
    default: false
  adopt:
    description:
    - Whether everything that the document lists and nobody owns becomes this front end's. It gets the owner's mark (a tag, in the
      description of a server in a group), so that O(state=absent) removes it and O(server_groups[].purge) counts it in.
    - What has the mark of another owner stays theirs, with a warning. Without this option things that others made are
      changed as the document says, but stay theirs.
    type: bool
    default: false
  state:
    description:
    - V(absent) removes what this front end made. What others made stays, and RV(kept) says so.
    type: str
    choices:
    - present
    - absent
    default: present
seealso:
- module: clusterfront.ha.slb_frontend_info
- module: clusterfront.ha.slb_instance
- module: clusterfront.ha.slb_server_group
- module: clusterfront.ha.slb_backend
- module: clusterfront.ha.slb_failover_group
- module: clusterfront.ha.slb_listener
- module: clusterfront.ha.slb_acl
- module: clusterfront.ha.slb_rule
- module: clusterfront.ha.slb_domain_extension
- module: clusterfront.ha.slb_certificate
- module: clusterfront.ha.slb_ca_certificate
- module: clusterfront.ha.slb_tls_policy
"""

EXAMPLES = r"""
- name: A private SLB in front of two HAProxy nodes
  clusterfront.ha.slb_frontend:
    region: cn-hangzhou
    name: prod-api
    load_balancer:
      address_type: intranet
      vpc_id: vpc-example
      vswitch_id: vsw-example
    server_groups:
      - name: haproxy
        backends:
          - {private_ip: 192.0.2.21, port: 8888}
          - {private_ip: 192.0.2.22, port: 8888}
    listeners:
      - port: 6443
        protocol: tcp
        server_group: haproxy
        health_check: {type: http, connect_port: 8889, uri: /readyz, interval: 2, timeout: 2, healthy_threshold: 2, unhealthy_threshold: 2}

- name: DNS on one port over TCP and UDP
  clusterfront.ha.slb_frontend:
    region: cn-hangzhou
    name: prod-dns
    load_balancer:
      address_type: intranet
      vpc_id: vpc-example
      vswitch_id: vsw-example
    server_groups:
      - name: resolvers
        backends:
          - {private_ip: 192.0.2.21, port: 53}
          - {private_ip: 192.0.2.22, port: 53}
    listeners:
      - {port: 53, protocol: tcp, server_group: resolvers}
      - {port: 53, protocol: udp, server_group: resolvers}

- name: A sixtieth listener, for an account whose quota was raised
  clusterfront.ha.slb_frontend:
    region: cn-hangzhou
    name: prod-api
    listeners:
      - {port: 7000, protocol: tcp, server_group: haproxy}
    quotas:
      listeners_per_load_balancer: 100

- name: Remove what that front end made, and nothing of others
  clusterfront.ha.slb_frontend:
    region: cn-hangzhou
    name: prod-api
    state: absent

- name: A public SLB that serves two networks only
  clusterfront.ha.slb_frontend:
    region: cn-hangzhou
    name: prod-public
    load_balancer: {address_type: internet}
    server_groups:
      - name: ingress
        backends:
          - {private_ip: 192.0.2.21, port: 443}
    access_lists:
      - name: office
        entries:
          - {cidr: 198.51.100.0/24, comment: everybody in the building}
          - {cidr: 203.0.113.7, comment: the jump host}
    listeners:
      - port: 443
        protocol: tcp
        server_group: ingress
        access_list: {lists: [office], type: white}

- name: A primary database proxy with a standby, and two web servers in the default pool
  clusterfront.ha.slb_frontend:
    region: cn-hangzhou
    name: prod-data
    load_balancer: {address_type: intranet, vpc_id: vpc-example, vswitch_id: vsw-example}
    failover_groups:
      - name: database
        primary: {server_name: proxy-1, port: 5432}
        standby: {server_name: proxy-2, port: 5432}
    default_pool:
      backends:
        - {server_tags: {role: web}, weight: 50}
        - {private_ip: 192.0.2.11, state: absent}
    listeners:
      - {port: 5432, protocol: tcp, failover_group: database}
      - {port: 80, protocol: tcp, backend_port: 8080}

- name: HTTPS in front of a cluster, with a redirect from HTTP
  clusterfront.ha.slb_frontend:
    region: cn-hangzhou
    name: prod-shop
    load_balancer: {address_type: intranet, vpc_id: vpc-example, vswitch_id: vsw-example}
    server_groups:
      - {name: web, backends: [{private_ip: 192.0.2.21, port: 80}, {private_ip: 192.0.2.22, port: 80}]}
      - {name: api, backends: [{private_ip: 192.0.2.11, port: 8080}]}
    certificates:
      - name: www
        certificate_path: /etc/ssl/example/www-chain.pem
        private_key_path: /etc/ssl/example/www-key.pem
    listeners:
      - {port: 80, protocol: http, forward_port: 443}
      - port: 443
        protocol: https
        server_group: web
        certificate: www
        tls_policy: tls_cipher_policy_1_2
        x_forwarded_for_proto: true
        health_check: {uri: /readyz}
        rules:
          - {url: /api, server_group: api}
"""

RETURN = r"""
front_end:
  description:
  - The front end as it is now, or as check mode predicts it (ids that do not exist yet are null). Null where nothing
    of it is left.
  returned: success
  type: dict
  sample:
    name: prod-api
    load_balancer:
      id: lb-example
      name: prod-api
      address_type: intranet
      vpc_id: vpc-example
      vswitch_id: vsw-example
      address: 192.0.2.100
      address_ip_version: ipv4
      master_zone_id: cn-hangzhou-i
      slave_zone_id: cn-hangzhou-j
      resource_group_id: rg-example
      bandwidth: null
      internet_charge_type: null
      instance_charge_type: PayByCLCU
      spec: slb.lcu.elastic
      delete_protection: false
      modification_protection:
        enabled: false
        reason: null
      enabled: true
      tags: {}
      owner: prod-api
      status: active
      region: cn-hangzhou
    server_groups:
    - id: rsp-example
      name: haproxy
      owner: prod-api
      backends:
      - server_id: i-example1
        eni_id: null
        private_ip: 192.0.2.21
        type: ecs
        port: 8888
        weight: 100
        description: ''
        owner: prod-api
    failover_groups: []
    default_pool: null
    listeners:
    - port: 6443
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
        lists:
        - office
        type: white
      rules: null
      domain_extensions: null
      enabled: true
      tags: {}
      owner: prod-api
      status: running
    access_lists:
    - id: acl-example
      name: office
      address_ip_version: ipv4
      entries:
      - cidr: 192.0.2.0/24
        comment: everybody in the building
      tags: {}
      owner: prod-api
      listeners:
      - load_balancer: lb-example
        protocol: tcp
        port: 6443
        type: white
    certificates: []
    ca_certificates: []
    tls_policies: []
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
from ansible_collections.clusterfront.ha.plugins.module_utils._module import argument_spec, run, with_files
from ansible_collections.clusterfront.ha.plugins.module_utils._slb import view
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.document import FrontEnd, front_end


def document(params: dict) -> FrontEnd:
    return front_end(with_files(params))


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(_argspec.FRONT_END), supports_check_mode=True)
    run(module, document, ("front_end", view.front_end))


if __name__ == "__main__":
    main()
