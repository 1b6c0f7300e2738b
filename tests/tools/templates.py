# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the roles' templates, and hear what roles of inputs say, with Ansible itself, on this machine, in one run per role."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import yaml


def render_cases(root, collections_path, directory, role, template, cases):
    """The text of a template for each case: the role's defaults and variables, with the case's own on top."""
    role_path = root / "roles" / role
    base = {}
    for path in [role_path / name for name in ("defaults/main.yml", "vars/main.yml", "vars/Debian.yml")]:
        if path.exists():
            base.update(yaml.safe_load(path.read_text()))
    for name, case in cases.items():
        (directory / f"{name}.json").write_text(json.dumps({**base, "role_path": str(role_path), **case}))
    tasks = [
        {"ansible.builtin.include_vars": {"file": str(directory) + "/{{ case }}.json"}},
        {
            "ansible.builtin.template": {
                "src": str(role_path / "templates" / template),
                "dest": str(directory) + "/{{ case }}.out",
                "mode": "0600",
            }
        },
    ]
    (directory / "one.yml").write_text(json.dumps(tasks))
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "tasks": [
            {
                "ansible.builtin.include_tasks": str(directory / "one.yml"),
                "loop": list(cases),
                "loop_control": {"loop_var": "case"},
            }
        ],
    }
    (directory / "play.yml").write_text(json.dumps([play]))
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(collections_path), ANSIBLE_NOCOLOR="1")
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(directory / "play.yml")],
        env=environment, cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: (directory / f"{name}.out").read_text() for name in cases}


def told_by_role(collections_path, directory, role, hosts, cases, shown):
    """What a role that checks inputs makes of each case: shown, as JSON, or the sentence that refuses it.

    hosts: by group and name the private address. shown: by a name of the test's own what is to be rendered.
    """
    inventory = {
        group: {"hosts": {host: {"private_ip": address} for host, address in members.items()}}
        for group, members in hosts.items()
    }
    (directory / "inventory.json").write_text(json.dumps({"all": {"children": inventory}}))
    tasks = []
    for name, variables in cases.items():
        write = {"dest": f"{directory}/{name}.out", "mode": "0600"}
        include = {"ansible.builtin.include_role": {"name": f"clusterfront.ha.{role}", "public": True}}
        told = {"ansible.builtin.copy": {**write, "content": "{{ shown | to_json }}"}, "vars": {"shown": shown}}
        refused = {"ansible.builtin.copy": {**write, "content": "{{ ansible_failed_result.msg | default('') }}"}}
        tasks.append({"block": [include, told], "rescue": [refused], "vars": variables})
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "tasks": tasks,
    }
    (directory / "play.yml").write_text(json.dumps([play]))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", str(directory / "inventory.json"), str(directory / "play.yml")],
        env=dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(collections_path), ANSIBLE_NOCOLOR="1"),
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: (directory / f"{name}.out").read_text() for name in cases}
