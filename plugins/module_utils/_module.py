# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Between AnsibleModule and the engine. The only place where results, diffs and failures are formed."""

from __future__ import annotations

import dataclasses
import re
import typing as t
import uuid

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from ._argspec import CONNECTION, Spec
from ._slb import view
from ._slb.client import Client, Settings
from ._slb.document import FrontEnd, check_seconds
from ._slb.errors import ApiError, DocumentError, SdkMissing, SlbError
from ._slb.state import CloudState
from ._slb.reconcile import reconcile

REGION_VARIABLES = ("ALIBABA_CLOUD_REGION", "ALIBABA_CLOUD_REGION_ID", "ALICLOUD_REGION", "ALICLOUD_REGION_ID")
FALLBACKS = {"region": REGION_VARIABLES, "slb_endpoint": ("SLB_ENDPOINT",), "ecs_endpoint": ("ECS_ENDPOINT",)}
#: A result of one part: how it is called, and how it is taken out of the state.
Part = t.Tuple[str, t.Callable[[FrontEnd, CloudState], t.Any]]


def argument_spec(*specs: Spec) -> Spec:
    """The options of a module: its own and those of every connection to the cloud."""
    merged: Spec = {key: dict(option) for spec in (*specs, CONNECTION) for key, option in spec.items()}
    for option, variables in FALLBACKS.items():
        merged[option]["fallback"] = (env_fallback, list(variables))
    return merged


def run(module: AnsibleModule, document: t.Callable[[dict[str, t.Any]], FrontEnd], part: Part) -> None:
    """Make, change or remove what the module's options say, and end the module with the result."""
    name, take = part

    def work(client: Client) -> dict[str, t.Any]:
        wanted = document(options(module))
        outcome = reconcile(client, wanted, check_mode=module.check_mode, token=lambda: str(uuid.uuid4()))
        return {
            "changed": outcome.plan.changed,
            name: take(wanted, outcome.after),
            "steps": [step.to_result() for step in outcome.plan.steps],
            "kept": list(outcome.plan.kept),
            "later": list(outcome.plan.later),
            "warnings": list(outcome.plan.warnings),
            "api_calls": {"reads": outcome.reads, "writes": outcome.writes},
            "diff": {
                "before": view.difference(wanted, outcome.before),
                "after": view.difference(wanted, outcome.after),
            },
        }

    _finish(module, work)


def options(module: AnsibleModule) -> dict[str, t.Any]:
    """What a module was told. Ansible lets true and false through as whole numbers, which the API does not."""
    return {name: _whole(value, module.argument_spec.get(name, {})) for name, value in module.params.items()}


def _whole(value: t.Any, option: t.Mapping[str, t.Any]) -> t.Any:
    if isinstance(value, list):
        return [_whole(entry, option) for entry in value]
    if isinstance(value, dict) and option.get("options"):
        return {name: _whole(entry, option["options"].get(name, {})) for name, entry in value.items()}
    return int(value) if isinstance(value, bool) and "int" in (option.get("type"), option.get("elements")) else value


def inform(module: AnsibleModule, read: t.Callable[[Client, dict[str, t.Any]], dict[str, t.Any]]) -> None:
    """Read from the cloud, and end the module with what was found."""
    conclude(module, lambda client, given: {"changed": False, **read(client, given)})


def conclude(module: AnsibleModule, work: t.Callable[[Client, dict[str, t.Any]], dict[str, t.Any]]) -> None:
    """Do what is no document of one load balancer, and end the module with its result."""
    _finish(module, lambda client: work(client, options(module)))


def _finish(module: AnsibleModule, work: t.Callable[[Client], dict[str, t.Any]]) -> None:
    result: dict[str, t.Any] = {}
    try:
        result = work(Client(settings(module.params)))
    except SdkMissing as error:
        module.fail_json(msg=missing_required_lib(error.library), exception=error.trace)
    except ApiError as error:
        module.fail_json(msg=readable(sentence(error)), error=error.to_result())
    except SlbError as error:
        module.fail_json(msg=readable(f"{error}."))
    for words in (*result.get("kept", ()), *result.pop("later", ()), *result.pop("warnings", ())):
        module.warn(readable(f"{words}."))
    module.exit_json(**result)


def settings(params: t.Mapping[str, t.Any]) -> Settings:
    """Where and as whom to call, from a module's options."""
    names = {field.name for field in dataclasses.fields(Settings)}
    made = Settings(**{key: value for key, value in params.items() if key in names and value is not None})
    check_seconds("timeout", made.timeout)
    return made


#: What may be given by itself or as a file.
FILES = ("certificate", "private_key")


def with_files(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options of a document, with the contents of the files that certificates name."""
    found = dict(options)
    for option in ("certificates", "ca_certificates"):
        if found.get(option) is not None:
            found[option] = [_with_contents(option, entry) for entry in found[option]]
    return found


def _with_contents(option: str, entry: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    whole = dict(entry)
    for name in FILES:
        path, where = whole.get(f"{name}_path"), f"{option}[{entry.get('name') or entry.get('id')}]"
        if path is None:
            continue
        if whole.get(name) is not None:
            raise DocumentError(f"{where} has {name} and {name}_path; give one of the two")
        try:
            with open(path, encoding="utf-8") as file:
                whole[name] = file.read()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise DocumentError(f"{where}.{name}_path is '{path}', which cannot be read: {why}") from error
    return whole


QUOTA = "the account's quota is used up; take something away, or ask for a higher one in the Quota Center"
#: What a user can do about codes that everybody meets.
ADVICE = {
    "SignatureDoesNotMatch": "the access key's secret is wrong; check access_key_secret or ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "InvalidAccessKeyId.NotFound": "the access key's id is not known; check access_key_id or ALIBABA_CLOUD_ACCESS_KEY_ID",
    "InvalidAccessKeyId.Inactive": "the access key is switched off; switch it on or take another one",
    "InvalidTimeStamp.Expired": "the clock of this machine is off by more than 15 minutes; set it",
    "ActionNotAllowed": "the instance is locked; after a change of internet_charge_type it is until midnight, else see to the"
    " account's bills, and run this again then",
    **dict.fromkeys(
        (
            "InstanceBackendServerNumberOverLimit",
            "ListenerNumberOverLimit",
            "ORDER.QUOTA_EXCEEDED",
            "OverQuota",
            "VipTooManyListeners",
        ),
        QUOTA,
    ),
    "Forbidden.RAM": "the access key may not do this; give its RAM user or role a policy that allows it",
}


#: The API's word for a vSwitch that is not where it is said to be, under a code that means something else.
NO_VSWITCH = "The vpc subnet is not exist"


def sentence(error: ApiError) -> str:
    """One sentence for an error of the API. The server's text is left out where it tells no more than the advice."""
    if error.message.startswith(NO_VSWITCH):
        return (
            f"The cloud refused {error.operation} ({error.code}): there is no such vSwitch in that VPC and region; check"
            " load_balancer.vswitch_id, load_balancer.vpc_id and region."
        )
    if error.code in ADVICE:
        return f"The cloud refused {error.operation} ({error.code}): {ADVICE[error.code]}."
    if error.code is None:
        return f"{error.message}."
    return f"The cloud refused {error.operation} ({error.code}): {error.message.rstrip('.')}."


#: A value that is longer says no more than its ends do; the names of the API end at 80 characters.
VALUE = 160
MESSAGE = 1000


def readable(words: str) -> str:
    """A sentence in one line that can be read, whatever the values in it are."""
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in words)
    shown = re.sub(rf"\S{{{VALUE},}}", lambda value: shortened(value[0], VALUE), shown)
    return shown if len(shown) <= MESSAGE else shortened(shown, MESSAGE)


def shortened(text: str, length: int) -> str:
    """Both ends of a text: where it begins to be wrong is as often at the one as at the other."""
    end = length // 2
    return f"{text[:end]}...{text[-end:]}"


def marked_by(params: t.Mapping[str, t.Any], *options: str) -> dict[str, t.Any]:
    """The owner's mark in the head of a document: the first of these options that is given, and which one that was."""
    given = [option for option in options if params.get(option) is not None]
    option = next((option for option in given if params[option]), given[-1] if given else options[-1])
    return {"name": params[option] or "", "marked_by": option}


def part_of_load_balancer(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The head of a document that is about a part of a load balancer, which is given by id or by name.

    A module that has no option for the owner only reads, and may be told of a load balancer that nobody could mark.
    """
    value = params["load_balancer"]
    mark = marked_by(params, "owner", "load_balancer") if "owner" in params else {"name": value, "marked_by": None}
    return {
        **mark,
        "load_balancer": {"id" if value.startswith("lb-") else "name": value},
        "quotas": params.get("quotas"),
    }
