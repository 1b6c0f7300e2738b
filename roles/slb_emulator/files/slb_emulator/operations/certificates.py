# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of servers and of CAs. Neither PEM nor key is ever told again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from .. import pem
from ..cloud import Answer, Call, Cloud
from ..errors import ApiError, invalid
from ..parameters import has_tags, tag_list
from ..store import Certificate, Listener, LoadBalancer
from .registry import operation

NAME = r"[A-Za-z][A-Za-z0-9._-]{0,79}"


def users_of(cloud: Cloud, certificate_id: str) -> Iterator[tuple[LoadBalancer, Listener]]:
    """The listeners that use a certificate, by themselves or for an additional domain."""
    for balancer in cloud.state.load_balancers.values():
        for listener in balancer.listeners.values():
            own = (listener.settings.get("ServerCertificateId"), listener.settings.get("CACertificateId"))
            if certificate_id in (*own, *(entry.certificate for entry in listener.domain_extensions)):
                yield balancer, listener


def _found(cloud: Cloud, call: Call, ca: bool) -> Certificate:
    name = "CACertificateId" if ca else "ServerCertificateId"
    found = cloud.state.certificates.get(call.parameters.needed(name))
    if found is None or found.ca != ca or found.region != call.region:
        raise ApiError(f"{name}.NotFound")
    return found


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _described(call: Call, found: Certificate) -> Answer:
    prefix = "CACertificate" if found.ca else "ServerCertificate"
    told: Answer = {
        f"{prefix}Id": found.id,
        f"{prefix}Name": found.name,
        "Fingerprint": found.fingerprint,
        "CommonName": found.common_name,
        "CreateTime": _text(found.created),
        "CreateTimeStamp": int(found.created * 1000),
        "ExpireTime": _text(found.expires),
        "ExpireTimeStamp": int(found.expires * 1000),
        "ResourceGroupId": found.resource_group,
    }
    if not found.ca:
        told["SubjectAlternativeNames"] = {"SubjectAlternativeName": found.names}
        told["IsAliCloudCertificate"] = 0
    return told


def _upload(cloud: Cloud, call: Call, ca: bool) -> Answer:
    parameters, prefix = call.parameters, "CACertificate" if ca else "ServerCertificate"
    if parameters.text("AliCloudCertificateId"):
        raise invalid("Certificates of the Certificate Management Service are not there.")
    text = parameters.needed(prefix)
    read = pem.read(text, prefix)
    key = ""
    if not ca:
        key = parameters.needed("PrivateKey")
        pem.check_key(text, key)
    quota = "ca_certificates" if ca else "certificates"
    there = [found for found in cloud.state.certificates.values() if found.ca == ca and found.region == call.region]
    if len(there) >= cloud.quotas[quota]:
        raise invalid(f"A region can have at most {cloud.quotas[quota]} certificates.")
    name = parameters.matching(f"{prefix}Name", NAME)
    certificate_id = cloud.new_id("139a00-cert")
    found = Certificate(
        certificate_id,
        call.region,
        name or certificate_id,
        ca,
        text,
        read.fingerprint,
        read.common_name,
        cloud.clock(),
        read.expires,
        parameters.text("ResourceGroupId") or "rg-cfha-default",
        key,
        read.names,
        parameters.tags(),
    )
    cloud.state.certificates[certificate_id] = found
    return call.answer(_described(call, found), {"RegionId": call.region})


def _describe(cloud: Cloud, call: Call, ca: bool) -> Answer:
    prefix = "CACertificate" if ca else "ServerCertificate"
    wanted = call.parameters.text(f"{prefix}Id")
    found = [
        {**_described(call, found), "RegionId": call.region, "Tags": {"Tag": tag_list(found.tags)}}
        for found in cloud.state.certificates.values()
        if found.ca == ca
        and found.region == call.region
        and wanted in ("", found.id)
        and call.parameters.text("ResourceGroupId") in ("", found.resource_group)
        and has_tags(found.tags, call.parameters.tag_filter())
    ]
    return {f"{prefix}s": {prefix: found}}


def _rename(cloud: Cloud, call: Call, ca: bool) -> Answer:
    found = _found(cloud, call, ca)
    name = "CACertificateName" if ca else "ServerCertificateName"
    call.parameters.needed(name)
    found.name = call.parameters.matching(name, NAME)
    return {}


def _delete(cloud: Cloud, call: Call, ca: bool) -> Answer:
    found = _found(cloud, call, ca)
    if any(users_of(cloud, found.id)):
        # which code a CA that is used is answered with is not documented
        raise ApiError("CertificateAndPrivateKeyIsRefered")
    del cloud.state.certificates[found.id]
    return {}


@operation("UploadServerCertificate")
def upload(cloud: Cloud, call: Call) -> Answer:
    return _upload(cloud, call, False)


@operation("UploadCACertificate")
def upload_ca(cloud: Cloud, call: Call) -> Answer:
    return _upload(cloud, call, True)


@operation("DescribeServerCertificates")
def describe(cloud: Cloud, call: Call) -> Answer:
    return _describe(cloud, call, False)


@operation("DescribeCACertificates")
def describe_ca(cloud: Cloud, call: Call) -> Answer:
    return _describe(cloud, call, True)


@operation("SetServerCertificateName")
def rename(cloud: Cloud, call: Call) -> Answer:
    return _rename(cloud, call, False)


@operation("SetCACertificateName")
def rename_ca(cloud: Cloud, call: Call) -> Answer:
    return _rename(cloud, call, True)


@operation("DeleteServerCertificate")
def delete(cloud: Cloud, call: Call) -> Answer:
    return _delete(cloud, call, False)


@operation("DeleteCACertificate")
def delete_ca(cloud: Cloud, call: Call) -> Answer:
    return _delete(cloud, call, True)
