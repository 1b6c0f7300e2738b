# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Where and as whom to call the cloud."""

    DOCUMENTATION = r"""
options:
  access_key_id:
    description:
      - Id of the access key. Where it is not given, E(ALIBABA_CLOUD_ACCESS_KEY_ID), then E(ALICLOUD_ACCESS_KEY) or
        E(ALICLOUD_ACCESS_KEY_ID), then the profile file, then the RAM role of the instance are tried.
    type: str
  access_key_secret:
    description:
      - Secret of the access key. Its variables are E(ALIBABA_CLOUD_ACCESS_KEY_SECRET), and E(ALICLOUD_SECRET_KEY) or
        E(ALICLOUD_SECRET_ACCESS_KEY).
    type: str
  security_token:
    description:
      - STS token that belongs to the key. Its variables are E(ALIBABA_CLOUD_SECURITY_TOKEN) and E(ALICLOUD_SECURITY_TOKEN).
    type: str
  profile:
    description:
      - Name of a profile of the C(aliyun) command's configuration file. Keys of the environment are not looked at then.
    type: str
  ecs_ram_role:
    description:
      - Name of the RAM role of the ECS instance that the module runs on. Keys of the environment are not looked at then.
    type: str
  region:
    description:
      - The region, for example V(cn-hangzhou).
      - Also read from E(ALIBABA_CLOUD_REGION), E(ALIBABA_CLOUD_REGION_ID), E(ALICLOUD_REGION), or E(ALICLOUD_REGION_ID).
    type: str
    required: true
  slb_endpoint:
    description:
      - Where SLB answers, as C(host[:port]) or C(http(s)://host[:port]); https where nothing is said. The region's own where it
        is not given.
      - Also read from E(SLB_ENDPOINT).
    type: str
  ecs_endpoint:
    description:
      - Where ECS answers, in the same form. Also read from E(ECS_ENDPOINT).
    type: str
  timeout:
    description:
      - Seconds for one call with all its retries, and for each state that is waited for.
      - A call that the cloud refuses as busy or throttled is repeated with pauses that double from 0.5 to 8 seconds, each shortened
        at random by up to a half. A call without an answer, or with one of a 5xx status, is repeated up to three times if that is safe;
        else the module looks what became of it first. The page U(https://github.com/clusterfront/ha/blob/main/docs/recovery.md) has
        the codes.
    type: float
    default: 300.0
requirements:
  - Python package C(alibabacloud-slb20140515) 3.3.31 or newer
  - Python package C(jmespath)
notes:
  - The module runs where the SDK is, as a rule on the controller (C(connection=local) or C(delegate_to=localhost)).
"""
