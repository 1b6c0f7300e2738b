# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Between AnsibleModule and what brings configurations live: shared options, and the only place where results are formed."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._argspec import Spec
from ._proxy.container import Container
from ._proxy.plan import Plan, State
from ._proxy.proxy import File, Listener, Proxy, ReleaseError, Wanted
from ._proxy.release import release
from ._proxy.server import Wish, describe, serve, wait

RELEASE: Spec = {
    "content": {"type": "str", "required": True},
    "inputs": {"type": "list", "elements": "path", "default": []},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "source": {"type": "path", "required": True},
            "option": {"type": "str", "required": True},
            "holds": {"type": "list", "elements": "str", "choices": ["certificate", "key"], "default": []},
        },
    },
    "unit_directory": {"type": "path", "default": "/etc/systemd/system"},
    "maxconn": {"type": "int"},
    "container": {
        "type": "dict",
        "options": {
            "engine": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "mounts": {"type": "list", "elements": "str", "default": []},
        },
    },
    "listeners": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "address": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "path": {"type": "str"},
        },
    },
    "keep": {"type": "int", "default": 3},
    "timeout": {"type": "int", "default": 20},
}

SERVER: Spec = {
    "server": {"type": "str"},
    "backend": {"type": "str"},
    "state": {"type": "str", "choices": ["ready", "drain", "maint"]},
    "weight": {"type": "str"},
    "allow_empty": {"type": "bool", "default": False},
    "sessions": {"type": "int"},
    "timeout": {"type": "int", "default": 300},
}
#: Only looking is for all servers at once.
SERVER_NEEDED = {"state": ("server",), "weight": ("server",), "sessions": ("server",)}


def container_of(options: dict[str, t.Any] | None) -> Container | None:
    """What runs the program; whoever only asks it names its engine and its image."""
    if options is None:
        return None
    whole: dict[str, t.Any] = {"version": "", "name": "", "mounts": (), **options}
    return Container(**{**whole, "mounts": tuple(whole["mounts"])})


def differences(proxy: Proxy, state: State, plan: Plan) -> list[dict[str, str]]:
    """The diff of the files that the plan touches."""
    found = []
    if state.text != plan.text:
        found.append((proxy.config, state.text, plan.text))
    if plan.write_unit:
        found.append((proxy.unit_file, state.unit_file, plan.unit_file))
    return [
        {"before_header": path, "after_header": path, "before": before or "", "after": after}
        for path, before, after in found
    ]


def run_release(module: AnsibleModule, proxy: Proxy, **more: t.Any) -> None:
    """Bring what the options say live, and end the module with the result; `more` are options of one program."""
    params = module.params
    wanted = Wanted(
        content=params["content"],
        inputs=tuple(params["inputs"]),
        maxconn=params["maxconn"],
        listeners=tuple(Listener(**listener) for listener in params["listeners"]),
        keep=params["keep"],
        files=tuple(File(**{**file, "holds": tuple(file["holds"])}) for file in params["files"]),
        **more,
    )
    try:
        state, plan, new = release(proxy, wanted, module.check_mode)
    except (ReleaseError, OSError) as error:
        module.fail_json(msg=str(error))
    for sentence in new.missing:
        module.warn(f"{sentence}; a real run would be refused.")
    if plan.warning:
        module.warn(plan.warning)
    module.exit_json(
        changed=bool(plan.steps),
        release=plan.release,
        previous=state.linked,
        steps=plan.steps,
        diff=differences(proxy, state, plan),
    )


def run_server(module: AnsibleModule, proxy: Proxy, on_timeout: str) -> None:
    """Do what the options ask of a server, wait for its sessions, and end the module with the result."""
    params = module.params
    wish = Wish(*(params[name] for name in ("server", "backend", "state", "weight", "allow_empty")))
    result = {}
    try:
        change = serve(proxy, wish, module.check_mode)
        if params["sessions"] is not None and not module.check_mode:
            waited = wait(proxy, change.names, params["sessions"], params["timeout"], on_timeout)
            result["waited"] = round(waited, 1)
        servers = describe(proxy, change)
    except (ReleaseError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=change.needed,
        servers=servers,
        diff={
            "before_header": proxy.server_state,
            "after_header": proxy.server_state,
            "before": change.before or "",
            "after": change.after if change.write_states else change.before or "",
        },
        **result,
    )
