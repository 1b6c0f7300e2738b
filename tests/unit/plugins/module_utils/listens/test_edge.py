# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a listen does at the edge of a cluster: its lines, and what can't work."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._listens import edge
from ansible_collections.clusterfront.ha.plugins.module_utils._listens.listens import Inventory, files, resolve
from ansible_collections.clusterfront.ha.plugins.module_utils._listens.nginx import nginx_checks
from ansible_collections.clusterfront.ha.plugins.module_utils._listens.problems import edge_refusals, problems

INVENTORY = Inventory({"all": []}, {}, "private_ip")
DEFAULTS = {
    "balance": "leastconn",
    "slowstart": "",
    "shutdown_on_down": False,
    "max_connections": None,
    "ca_bundle": "/bundle.pem",
    "health_check": {"interval": "2s", "fast_interval": "1s", "down_interval": "2s", "fall": 2, "rise": 2},
    "timeouts": {"connect": "1s", "idle": "1h", "request": "10s"},
    "client_keepalive": "",
    "server_keepalive": None,
}
SERVERS = {"backends": [{"name": "a", "address": "192.0.2.1", "port": 80}]}
PLACE = {"mode": "http", "bind": [{"port": 80}]}
ECHO = {"name": "echo", **PLACE, **SERVERS}
NOBODY = {"name": "nobody", **PLACE, "respond": {}}
AUTH = {"url": "http://192.0.2.61:4180/oauth2/auth"}


def lines(**options):
    return edge.lines(resolve({**ECHO, **options}, INVENTORY, DEFAULTS), 1)


def told(*listens):
    return problems(listens, "nginx_listens", INVENTORY)


def test_who_says_nothing_gets_nothing():
    assert lines() == edge.Lines([], [], [])


def test_names():
    assert lines(hosts=["Echo.example.com", "*.example.org"]).server == ["server_name echo.example.com *.example.org;"]


def test_a_fixed_answer_needs_no_servers_and_is_never_unready():
    listen = resolve(NOBODY, INVENTORY, DEFAULTS)
    assert listen["respond"] == {"status": 404, "body": "default backend - 404\n"}
    assert (listen["proxied"], listen["ready"]) == (False, False) and nginx_checks([listen], "2s") == []
    assert resolve({**NOBODY, "respond": {"status": "410", "body": "gone"}}, INVENTORY, DEFAULTS)["respond"] == {
        "status": "410",
        "body": "gone",
    }


def test_a_word_of_nginx():
    assert edge.quoted('a "b" \\d') == '"a \\"b\\" \\\\d"'


def test_bandwidth():
    assert lines(limit_rate="512k", limit_rate_after="1m").location == [
        "limit_rate 512k;",
        "proxy_max_temp_file_size 0;",
        "limit_rate_after 1m;",
    ]


def test_rewrites():
    rewrites = [
        {"pattern": "^/old/(\\d+)$", "replacement": "/new/$1"},
        {"pattern": "^/away", "replacement": "https://example.com/", "redirect": "permanent"},
        {"pattern": "^/now", "replacement": "/then", "redirect": "temporary"},
    ]
    assert lines(rewrites=rewrites).location == [
        'rewrite "^/old/(\\\\d+)$" "/new/$1" break;',
        'rewrite "^/away" "https://example.com/" permanent;',
        'rewrite "^/now" "/then" redirect;',
    ]


def test_limits_of_requests():
    made = lines(rate_limits=[{"rate": "10r/s", "burst": 20}, {"rate": "30r/m", "header": "X-Api-Key"}])
    assert made.http == [
        "limit_req_zone $binary_remote_addr zone=echo_rate_1_1:10m rate=10r/s;",
        "map $http_x_api_key $clusterfront_rate_1_2 {",
        "    default $http_x_api_key;",
        '    "" $binary_remote_addr;',
        "}",
        "limit_req_zone $clusterfront_rate_1_2 zone=echo_rate_1_2:10m rate=30r/m;",
    ]
    assert made.server == [
        "limit_req zone=echo_rate_1_1 burst=20 nodelay;", "limit_req zone=echo_rate_1_2;", "limit_req_status 429;"
    ]  # fmt: skip


def test_a_client_that_a_proxy_names():
    made = lines(forwarded_clients=True, trusted_proxies=["100.64.0.0/10"])
    assert made.server == [
        "set_real_ip_from 100.64.0.0/10;", "real_ip_header X-Forwarded-For;", "real_ip_recursive on;"
    ]  # fmt: skip


def test_a_third_party_is_asked():
    made = lines(auth={**AUTH, "headers": ["X-Auth-Request-User"]})
    assert made.location == [
        "auth_request /_clusterfront_auth_1;",
        "auth_request_set $clusterfront_auth_1_x_auth_request_user $upstream_http_x_auth_request_user;",
        "proxy_set_header X-Auth-Request-User $clusterfront_auth_1_x_auth_request_user;",
        "auth_request_set $clusterfront_auth_1 $upstream_http_set_cookie;",
        "add_header Set-Cookie $clusterfront_auth_1;",
    ]
    assert made.server[0] == "location = /_clusterfront_auth_1 {" and made.server[-1] == "}"
    assert "    proxy_pass http://192.0.2.61:4180/oauth2/auth;" in made.server
    assert "    proxy_read_timeout 5s;" in made.server and "proxy_ssl" not in str(made)


def test_it_has_pages_of_its_own_and_is_verified():
    auth = {
        "url": "https://auth.example.com/verify",
        "own_path": "/oauth2/",
        "signin": "https://auth.example.com/start?rd=https://$host$request_uri",
    }
    made = lines(auth=auth)
    assert made.location[-1] == "error_page 401 = @clusterfront_signin_1;"
    assert (
        made.server.count("    proxy_ssl_verify on;") == 2
        and made.server.count("    proxy_ssl_name auth.example.com;") == 2
    )
    assert "location ^~ /oauth2/ {" in made.server and "    proxy_pass https://auth.example.com;" in made.server
    assert f'    return 302 "{auth["signin"]}";' in made.server
    listen = resolve({**ECHO, "auth": auth}, INVENTORY, DEFAULTS)
    assert files(listen) == [
        {"name": "echo-auth.pem", "source": "/bundle.pem", "option": "'echo' has auth.ca", "holds": ["certificate"]}
    ]
    own = resolve({**ECHO, "auth": {**auth, "ca": "/own.pem", "server_name": "x"}}, INVENTORY, DEFAULTS)["auth"]
    assert (own["ca"], own["server_name"]) == ("/own.pem", "x")


RIGHT = [
    {**ECHO, "hosts": ["echo.example.com"], "limit_rate": "1m", "limit_rate_after": "64k", "auth": AUTH,
     "rate_limits": [{"rate": "10r/s", "burst": "5", "header": "X-Api-Key"}], "rewrites": [{"pattern": "^/a", "replacement": "/b"}],
     "forwarded_clients": True, "trusted_proxies": ["100.64.0.0/10"]},
    {**ECHO, "name": "other", "hosts": ["*.example.com"], "auth": {"url": "https://auth.example.com", "ca": "/ca.pem", "signin": "/oauth2/start",
     "own_path": "/oauth2/", "headers": ["X-User"], "timeout": "3s"}},
    {"name": "moved", **PLACE, "hosts": ["old.example.com"], "redirect_https": True},
    NOBODY,
]  # fmt: skip


def test_what_is_right_is_not_refused():
    assert told(*RIGHT) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hosts": ["echo example"]}, "has the host 'echo example'; take a name such as echo.example.com or *.example.com"),
        ({"limit_rate": "5 megabit"}, "has limit_rate '5 megabit'; it has to be bytes a second, such as 512k or 2m"),
        ({"limit_rate": "1k", "limit_rate_after": "x"}, "has limit_rate_after 'x'; it has to be bytes, such as 512k or 2m"),
        ({"limit_rate_after": "1m"}, "has limit_rate_after without limit_rate; give the bytes a second that are left after it"),
        ({"rate_limits": [{"rate": "10"}]}, "has a rate limit whose rate is '10'; it has to be requests a second or a minute, such as 10r/s or 30r/m"),
        ({"rate_limits": [{"burst": 1}]}, "has a rate limit whose rate is ''; it has to be requests a second or a minute, such as 10r/s or 30r/m"),
        ({"rate_limits": [{"rate": "1r/s", "burst": -1}]}, "has a rate limit whose burst is -1; it has to be 0 or more"),
        ({"rate_limits": [{"rate": "1r/s", "header": "x y"}]}, "has a rate limit by the header 'x y'; take a name such as X-Api-Key"),
        ({"rewrites": [{"pattern": "^/a b", "replacement": "/"}]},
         "has a rewrite whose pattern is '^/a b'; it may hold no blanks or quotes, and may not be empty"),
        ({"rewrites": [{"pattern": "^/a"}]}, "has a rewrite whose replacement is ''; it may hold no blanks or quotes, and may not be empty"),
        ({"auth": {}}, "has auth.url ''; it has to be the whole URL that is asked, such as http://192.0.2.61:4180/oauth2/auth"),
        ({"auth": {**AUTH, "signin": "start"}}, "has auth.signin 'start'; it has to be a URL, or a path that begins with '/'"),
        ({"auth": {**AUTH, "own_path": "x"}}, "has auth.own_path 'x'; it has to be a path such as /oauth2/"),
        ({"auth": {**AUTH, "headers": ["a b"]}}, "has auth.headers 'a b'; take names such as X-Auth-Request-User"),
        ({"auth": {**AUTH, "server_name": "x"}}, f"has auth.server_name, but auth.url '{AUTH['url']}' is no https; leave it out"),
        ({"auth": {**AUTH, "url": "https://x", "ca": "ca.pem"}}, "has auth.ca 'ca.pem'; it has to be the whole path of a file on the host"),
        ({"auth": {**AUTH, "timeout": "5"}}, "has auth.timeout '5'; a time is a number and its unit, such as 500ms, 2s or 1h"),
        ({"forwarded_clients": True}, "has forwarded_clients without trusted_proxies; give the networks of the proxies that are to be believed"),
        ({"forwarded_clients": True, "trusted_proxies": ["100.64.0.0/10"], "accept_proxy": True},
         "has forwarded_clients and accept_proxy; the client's address can come from one of them"),
        ({"mode": "tcp", "limit_rate": "1m"}, "has limit_rate, which needs mode http"),
        ({"respond": {}}, "has respond and servers; a fixed answer needs none"),
        ({"respond": {"status": 99}, "backends": []}, "has respond.status 99; it has to be a status of HTTP from 200 to 599"),
        ({"respond": {"body": "$host"}, "backends": []}, "has respond.body with '$', which begins a variable in nginx; leave it out"),
        ({"respond": {}, "backends": [], "redirect_https": True}, "has respond and redirect_https; give one of them"),
        ({"respond": {}, "backends": [], "auth": AUTH}, "has auth and respond; only what goes on to servers can have it"),
        ({"redirect_https": True, "backends": [], "rewrites": RIGHT[0]["rewrites"]},
         "has rewrites and redirect_https; only what goes on to servers can have it"),
    ],
)  # fmt: skip
def test_what_can_t_work(options, sentence):
    assert told({**ECHO, **options})[0] == f"nginx_listens: 'echo' {sentence}."


def named(name, host, **more):
    return {**ECHO, "name": name, "hosts": [host], **more}


@pytest.mark.parametrize(
    ("listens", "sentence"),
    [
        ([NOBODY, named("a", "A.example.com"), named("b", "a.example.com")], "the host 'a.example.com' comes twice on port 80; a name leads to one listen"),
        ([named("a", "a.example.com"), named("b", "b.example.com")],
         "port 80 has nobody for clients that ask for another name; add a listen without hosts, such as one with respond: {status: 404}"),
        ([NOBODY, named("a", "a.example.com", tls={"certificate": "/c"})], "'nobody', 'a' share port 80 and differ in tls; give all of them the same"),
        ([NOBODY, named("a", "a.example.com", accept_proxy=True)], "'nobody', 'a' share port 80 and differ in accept_proxy; give all of them the same"),
        ([{**NOBODY, "tls": {"certificate": "/c"}}, named("a", "a.example.com", tls={"certificate": "/c", "min_version": "TLSv1.3"})],
         "'nobody', 'a' share port 80 and differ in tls.min_version; give all of them the same"),
        ([NOBODY, {**ECHO, "name": "a"}], "port 80 is bound by 'nobody' and 'a'; give every listen a port of its own"),
        ([NOBODY, named("a", "a.example.com", bind=[{"port": 80}, {"port": 80}])], "port 80 is bound by 'a' twice; give every listen a port of its own"),
    ],
)  # fmt: skip
def test_listens_that_share_a_port(listens, sentence):
    assert f"nginx_listens: {sentence}." in told(*listens)


def test_another_program_refuses_all_of_it():
    listen = {"name": "web", **dict.fromkeys(edge.KEYS, "x"), "respond": {}}
    assert edge_refusals([listen, {"name": "plain", "hosts": [], "forwarded_clients": False}], "haproxy_listens", "HAProxy") == [
        f"haproxy_listens: 'web' has {key}, which HAProxy does not do here; take the role nginx." for key in edge.KEYS
    ]  # fmt: skip
