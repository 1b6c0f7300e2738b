# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions and zones that exist. A choice of the real ones, enough to be wrong about."""

from __future__ import annotations

REGIONS: dict[str, tuple[str, str]] = {
    # region: (name, letters of its zones)
    "cn-qingdao": ("China (Qingdao)", "bc"),
    "cn-beijing": ("China (Beijing)", "acdefghijkl"),
    "cn-zhangjiakou": ("China (Zhangjiakou)", "abc"),
    "cn-huhehaote": ("China (Hohhot)", "ab"),
    "cn-wulanchabu": ("China (Ulanqab)", "abc"),
    "cn-hangzhou": ("China (Hangzhou)", "bcdefghijk"),
    "cn-shanghai": ("China (Shanghai)", "abcdefglmn"),
    "cn-shenzhen": ("China (Shenzhen)", "abcdef"),
    "cn-heyuan": ("China (Heyuan)", "ab"),
    "cn-guangzhou": ("China (Guangzhou)", "ab"),
    "cn-chengdu": ("China (Chengdu)", "ab"),
    "cn-wuhan-lr": ("China (Wuhan - Local Region)", "a"),  # of one zone: its instances have no standby
    "cn-hongkong": ("China (Hong Kong)", "bcd"),
    "ap-southeast-1": ("Singapore", "abc"),
    "ap-southeast-3": ("Malaysia (Kuala Lumpur)", "abc"),
    "ap-southeast-5": ("Indonesia (Jakarta)", "abc"),
    "ap-southeast-6": ("Philippines (Manila)", "ab"),
    "ap-southeast-7": ("Thailand (Bangkok)", "ab"),
    "ap-northeast-1": ("Japan (Tokyo)", "abc"),
    "ap-northeast-2": ("South Korea (Seoul)", "ab"),
    "us-east-1": ("US (Virginia)", "ab"),
    "us-west-1": ("US (Silicon Valley)", "ab"),
    "eu-west-1": ("UK (London)", "ab"),
    "eu-central-1": ("Germany (Frankfurt)", "abc"),
    "me-east-1": ("UAE (Dubai)", "ab"),
}
# These share the central host; the others have one each.
_CENTRAL = (
    "cn-qingdao",
    "cn-beijing",
    "cn-hangzhou",
    "cn-shanghai",
    "cn-shenzhen",
    "cn-hongkong",
    "ap-southeast-1",
    "us-east-1",
    "us-west-1",
)


def endpoint(region: str) -> str:
    return "slb.aliyuncs.com" if region in _CENTRAL else f"slb.{region}.aliyuncs.com"


def zones(region: str) -> list[str]:
    # Regions of one number ("us-east-1") write their zones without a dash ("us-east-1a").
    dash = "" if region[-1].isdigit() else "-"
    return [f"{region}{dash}{letter}" for letter in REGIONS[region][1]]


def standby_zones(zone: str, region: str) -> list[str]:
    """The zones that can stand by for a zone."""
    return [other for other in zones(region) if other != zone]
