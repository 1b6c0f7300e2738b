# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong between a document and the cloud: the error tree, and the table of the API's codes as data.

The codes and what they mean are those of the CLB API 2014-05-15, as its documentation, terraform-provider-alicloud and
the cloud controller manager treat them. An exception's class never decides whether to try again, its code does: the
SDK raises the same class for a throttled call and for a wrong parameter.
"""

from __future__ import annotations

import enum
import typing as t


class Verdict(enum.Enum):
    """What an error code asks for."""

    RETRY = "retry"  # the cloud is busy: the same call works later
    ABSENT = "absent"  # the object is not there: done for a delete, nothing for a read
    STALE = "stale"  # somebody else changed the object between our read and our write: look again
    UNKNOWN = "unknown"  # no answer: the call may have taken effect, look before it is repeated
    FAIL = "fail"  # the caller has to change something


class SlbError(Exception):
    """The root of all that the engine raises. Its text is one sentence for the user."""


class DocumentError(SlbError):
    """The document asks for something that cannot be. Raised before the first write."""


class LookupFailed(DocumentError):
    """A name, an address or an id leads to no object of the cloud, or to several."""


class UnknownRegion(DocumentError):
    """The cloud has no region of that name."""


class Immutable(DocumentError):
    """An option cannot be changed on an existing object."""


class SdkMissing(SlbError):
    """The SDK of Alibaba Cloud is not installed."""

    def __init__(self, library: str, trace: str) -> None:
        super().__init__(f"The Python library {library} is needed")
        self.library = library
        self.trace = trace


class CredentialsMissing(SlbError):
    """No access key, token, profile or RAM role was found."""


class TimedOut(SlbError):
    """The cloud did not reach the awaited state in time."""


class NotSettled(SlbError):
    """Every call was accepted, but the cloud still does not show what was asked for."""


class Overtaken(SlbError):
    """Another run made the same object at the same time, and its object is the older one, or took ours away."""


class ApiError(SlbError):
    """The API answered with an error, or did not answer at all (code is None then)."""

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.code = code
        self.status = status
        self.request_id = request_id
        self.verdict = verdict(code, status, message, operation)

    def to_result(self) -> dict[str, t.Any]:
        """The shape in which a module returns it as ``error``."""
        return {"code": self.code, "message": self.message, "request_id": self.request_id, "operation": self.operation}


#: code -> verdict. Section 3 of the notes on the CLB API; codes that are not here fail.
CODES: dict[str, Verdict] = {
    # busy or throttled: bounded retries
    "SystemBusy": Verdict.RETRY,
    "OperationBusy": Verdict.RETRY,
    "ServiceIsConfiguring": Verdict.RETRY,
    "ServiceIsStopping": Verdict.RETRY,
    "BackendServer.configuring": Verdict.RETRY,
    "VServerGroupProcessing": Verdict.RETRY,
    "OperationFailed.ListenerStatusNotSupport": Verdict.RETRY,
    "OperationFailed.ListenerConflict": Verdict.RETRY,
    "OperationFailed.TokenIsProcessing": Verdict.RETRY,
    "Operation.Deny": Verdict.RETRY,
    "DomainExtensionProcessing": Verdict.RETRY,
    "AclEntryProcessing": Verdict.RETRY,
    "ProcessingSameRequest": Verdict.RETRY,
    "Rejected.Throttling": Verdict.RETRY,
    # something that refers to the object is not released yet
    "RspoolVipExist": Verdict.RETRY,
    "RspoolRuleExist": Verdict.RETRY,
    "OperationFailed.AclBindedWithVip": Verdict.RETRY,
    "CertificateAndPrivateKeyIsRefered": Verdict.RETRY,
    "ListenerForwardExist": Verdict.RETRY,
    "DomainExtensionRelatedRuleExist": Verdict.RETRY,
    # not there
    "InvalidLoadBalancerId.NotFound": Verdict.ABSENT,
    "ListenerNotFound": Verdict.ABSENT,
    "InvalidRuleId.NotFound": Verdict.ABSENT,
    "InvalidParameter.DomainExtensionId": Verdict.ABSENT,
    "AclNotExist": Verdict.ABSENT,
    "ServerCertificateId.NotFound": Verdict.ABSENT,
    "CACertificateId.NotFound": Verdict.ABSENT,
    "CheckedListenerNotFound": Verdict.ABSENT,
    # another run was faster
    "ListenerAlreadyExists": Verdict.STALE,
    "DomainExist": Verdict.STALE,
    "Operation.NotAllowed": Verdict.STALE,
    "AclEntryEmpty": Verdict.STALE,
    "InvalidBackendServers.ServerIpConflict": Verdict.STALE,
}

#: Codes that mean something else where servers are removed: one that was released is about to leave by itself.
REMOVAL_CODES: dict[str, Verdict] = {"ObtainIpFail": Verdict.RETRY}

#: InvalidParameter means a hundred things; these of its messages mean that the object is not there.
ABSENT_MESSAGES = (
    "The specified resource does not exist",
    "The specified VServerGroupId does not exist",
    "The specified MasterSlaveGroupId does not exist",
)


def verdict(code: str | None, status: int | None, message: str, operation: str = "") -> Verdict:
    """Decide what to do about an error from its code, its HTTP status and, for the catch-all code, its message."""
    if code is None:
        return Verdict.UNKNOWN
    if operation.startswith("Remove") and code in REMOVAL_CODES:
        return REMOVAL_CODES[code]
    if code in CODES:
        return CODES[code]
    if code.startswith("Throttling"):
        return Verdict.RETRY
    if code == "InvalidParameter" and any(text in message for text in ABSENT_MESSAGES):
        return Verdict.ABSENT
    # 400 ServiceUnavailable is a full vSwitch and does not pass by itself; 5xx may have taken effect.
    return Verdict.UNKNOWN if status is not None and status >= 500 else Verdict.FAIL


def quoted(names: t.Iterable[str]) -> str:
    """Join names for a sentence: ``a, b and c``."""
    items = list(names)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"
