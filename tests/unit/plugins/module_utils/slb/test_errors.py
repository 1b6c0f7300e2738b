# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of the API's codes, and the words that sentences are made of."""

from __future__ import annotations

import pytest

from ansible_collections.clusterfront.ha.plugins.module_utils._slb import errors
from ansible_collections.clusterfront.ha.plugins.module_utils._slb.errors import ApiError, Verdict


@pytest.mark.parametrize(
    ("code", "status", "message", "verdict"),
    [
        (None, None, "no route", Verdict.UNKNOWN),
        ("SystemBusy", 449, "", Verdict.RETRY),
        ("OperationBusy", 400, "", Verdict.RETRY),
        ("ServiceIsConfiguring", 400, "", Verdict.RETRY),
        ("ServiceIsStopping", 409, "", Verdict.RETRY),
        ("BackendServer.configuring", 409, "", Verdict.RETRY),
        ("VServerGroupProcessing", 400, "", Verdict.RETRY),
        ("OperationFailed.TokenIsProcessing", 400, "", Verdict.RETRY),
        ("Throttling", 400, "", Verdict.RETRY),
        ("Throttling.User", 400, "", Verdict.RETRY),
        ("Throttling.Api", 503, "", Verdict.RETRY),
        ("RspoolVipExist", 400, "", Verdict.RETRY),
        ("InvalidLoadBalancerId.NotFound", 404, "", Verdict.ABSENT),
        ("InvalidParameter", 400, "The specified resource does not exist.", Verdict.ABSENT),
        ("InvalidParameter", 404, "The specified VServerGroupId does not exist.", Verdict.ABSENT),
        ("InvalidParameter", 400, "The specified MasterSlaveGroupId does not exist", Verdict.ABSENT),
        ("InvalidParameter", 400, "The parameter Port is not valid.", Verdict.FAIL),
        ("ListenerAlreadyExists", 400, "", Verdict.STALE),
        ("Operation.NotAllowed", 400, "The listener is not stopped.", Verdict.STALE),
        ("InternalError", 500, "", Verdict.UNKNOWN),
        ("ServiceUnavailable", 503, "", Verdict.UNKNOWN),
        ("ServiceUnavailable", 400, "The vpc subnet is not exist.", Verdict.FAIL),
        ("SignatureDoesNotMatch", 400, "", Verdict.FAIL),
        ("Forbidden.RAM", 403, "", Verdict.FAIL),
        ("SomethingNew", None, "", Verdict.FAIL),
    ],
)
def test_verdicts(code, status, message, verdict):
    assert errors.verdict(code, status, message) is verdict
    assert ApiError(message, operation="X", code=code, status=status).verdict is verdict


def test_a_released_server_is_about_to_leave_by_itself():
    for operation, verdict in (("RemoveBackendServers", Verdict.RETRY), ("AddBackendServers", Verdict.FAIL)):
        assert ApiError("no", operation=operation, code="ObtainIpFail", status=400).verdict is verdict


def test_an_error_of_the_api_as_a_result():
    error = ApiError("no", operation="DescribeRegions", code="Forbidden", status=403, request_id="1")
    assert error.to_result() == {
        "code": "Forbidden",
        "message": "no",
        "request_id": "1",
        "operation": "DescribeRegions",
    }
    assert str(error) == "no"


def test_a_missing_library_is_named():
    error = errors.SdkMissing("some-sdk", "trace")
    assert "some-sdk" in str(error) and (error.library, error.trace) == ("some-sdk", "trace")


@pytest.mark.parametrize(
    ("names", "text"), [([], "none"), (["a"], "a"), (["a", "b"], "a and b"), (iter("abc"), "a, b and c")]
)
def test_quoted(names, text):
    assert errors.quoted(names) == text


def test_everything_about_the_document_is_found_by_one_except():
    for kind in (errors.LookupFailed, errors.Immutable):
        assert issubclass(kind, errors.DocumentError)
    for kind in (
        errors.DocumentError,
        errors.CredentialsMissing,
        errors.TimedOut,
        errors.NotSettled,
        errors.Overtaken,
        errors.ApiError,
        errors.SdkMissing,
    ):
        assert issubclass(kind, errors.SlbError)


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        ("busy or throttled, or something is not released yet", Verdict.RETRY),
        ("somebody else was faster", Verdict.STALE),
        ("it is not there", Verdict.ABSENT),
    ],
)
def test_the_page_has_the_codes(root, head, verdict):
    page = (root / "docs" / "recovery.md").read_text(encoding="utf-8")
    table = page.partition(f"| {head} |\n|---|\n")[2].partition("\n\n")[0]
    listed = [line.strip("| `") for line in table.splitlines()]
    assert sorted(listed) == sorted(code for code, found in errors.CODES.items() if found is verdict)
