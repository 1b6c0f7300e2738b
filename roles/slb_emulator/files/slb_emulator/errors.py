# Copyright (c) clusterfront.ha contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that the API answers: code, HTTP status and message."""

from __future__ import annotations

# Statuses other than 400. Where sources give two, the one of the public error page is used.
STATUS = {
    "BackendServer.configuring": 409,
    "CheckedListenerNotFound": 404,
    "InternalError": 500,
    "InvalidAccessKeyId.NotFound": 404,
    "InvalidApi.NotFound": 404,
    "InvalidLoadBalancerId.NotFound": 404,
    "InvalidRegionId.NotFound": 404,
    "InvalidResourceId.NotFound": 404,
    "InvalidRuleId.NotFound": 404,
    "InvalidSecurityGroupId.NotFound": 404,
    "InvalidVersion": 404,
    "ListenerNotFound": 404,
    "ServiceIsStopping": 409,
}

MESSAGES = {
    "AclEntryEmpty": "The specified ACL entry is empty.",
    "AclEntryExceedLimit": "The number of ACL entries exceeds the limit.",
    "AclEntryIllegal": "The specified ACL entry is illegal.",
    "AclEntryProcessing": "The ACL entries are being processed.",
    "AclNotExist": "The specified ACL does not exist.",
    "BackendServer.ServerIdEmpty": "The ServerId of a backend server must not be empty.",
    "BackendServer.configuring": "The backend servers of the load balancer are being configured.",
    "BackendServersMalformed": "The specified BackendServers is malformed.",
    "CACertificateId.NotFound": "The specified CACertificateId does not exist.",
    "CertificateAndPrivateKeyIsRefered": "The specified certificate is used by a listener or an additional domain.",
    "CertificateNotMatchPrivateKey": "The specified certificate does not match the private key.",
    "CheckedListenerNotFound": "The health checked listener does not exist.",
    "DomainExist": "A rule with the same domain and url already exists in the specified vip.",
    "DomainExtensionProcessing": "The domain extension is being processed.",
    "DomainExtensionRelatedRuleExist": "There are rules associated with the domain of this domain extension.",
    "DomainMalformed": "The specified Domain is malformed.",
    "DryRunOperation": "Request validation has been passed with DryRun flag set.",
    "InternalError": "The request processing has failed due to some unknown error.",
    "InvalidAccessKeyId.Inactive": "Specified access key is disabled.",
    "InvalidAccessKeyId.NotFound": "Specified access key is not found.",
    "InvalidApi.NotFound": "Specified api is not found, please check your url and method.",
    "InvalidLoadBalancerId.NotFound": "The specified LoadBalancerId does not exist.",
    "InvalidParameter.DomainExtensionId": "The specified DomainExtensionId does not exist.",
    "InvalidRegionId.NotFound": "The specified RegionId does not exist.",
    "InvalidResourceId.NotFound": "The specified ResourceId does not exist.",
    "InvalidRuleId.NotFound": "The specified RuleId does not exist.",
    "InvalidSecurityGroupId.NotFound": "The specified SecurityGroupId does not exist.",
    "InvalidSecurityToken.Expired": "Specified SecurityToken is expired.",
    "InvalidSecurityToken.MismatchWithAccessKey": "Specified SecurityToken mismatch with the AccessKey.",
    "InvalidTimeStamp.Expired": "Specified time stamp or date value is expired.",
    "InvalidTimeStamp.Format": "Specified time stamp or date value is not well formatted.",
    "InvalidVersion": "Specified parameter Version is not valid.",
    "InvalidWeight.Malformed": "The specified Weight is invalid, as it should be in [0, 100].",
    "KeyFormatError": "The format of the specified private key is wrong.",
    "LX_REQUEST_TOKEN_CONFLICT": "The ClientToken was already used with other parameters.",
    "ListenerAlreadyExists": "A listener with the specified port already exists.",
    "ListenerForwardExist": "The listener is the target of a redirect.",
    "ListenerNotFound": "The specified listener does not exist.",
    "ListenerNumberOverLimit": "The number of listeners exceeds the limit of the load balancer.",
    "MissingAccessKeyId": "AccessKeyId is mandatory for this action.",
    "ObtainIpFail": "Failed to obtain the IP address of the backend server; it does not exist or is not running.",
    "Operation.Deny": "The operation is denied while the listener is being configured.",
    "OperationDenied.DeleteProtectionIsOn": "The loadbalancer can't be deleted due to DeleteProtection is enabled.",
    "OperationFailed.AclBindedWithVip": "The specified ACL is bound to a listener.",
    "OperationFailed.ListenerStatusNotSupport": "The status of the listener does not support this operation.",
    "OverQuota": "The quota of load balancers is exceeded.",
    "PrivateKeyEncryption": "The specified private key is encrypted.",
    "RspoolRuleExist": "There are rules associated with this vServer group.",
    "RspoolVipExist": "There are vips associated with this vServer group.",
    "RuleListMalformed": "The specified RuleList is malformed.",
    "RuleNotSupport": "Rules are supported by HTTP and HTTPS listeners only.",
    "ServerCertificateId.NotFound": "The specified ServerCertificateId does not exist.",
    "ServiceIsConfiguring": "The specified service is being configured.",
    "ServiceIsStopping": "The specified service is stopping.",
    "ShareSlbHaltSales": "The share instance has been discontinued.",
    "SignatureNonceUsed": "Specified signature nonce was used already.",
    "TagCountLimit": "A resource can have at most 20 tags.",
    "TooManyBackendServers": "The total number of input real servers exceeds max supported number: 20",
    "TooManyListeners": "Several listeners use the specified port; give ListenerProtocol.",
    "TooManyRules": "The number of rules exceeds the limit of the listener.",
    "UnsupportedHTTPMethod": "This http method is not supported.",
    "UrlMalformed": "The specified Url is malformed.",
    "VServerGroupProcessing": "The vServer group is being processed.",
    "VSwitchAvailableIpNotExist": "The vSwitch has no available IP address.",
}


class ApiError(Exception):
    """An error answer of the API."""

    def __init__(self, code: str, message: str = "", status: int = 0) -> None:
        self.code = code
        self.message = message or MESSAGES.get(code, code)
        self.status = status or STATUS.get(code, 400)
        super().__init__(f"{code}: {self.message}")


def invalid(message: str) -> ApiError:
    """The catch-all code, of which only the message says what is wrong."""
    return ApiError("InvalidParameter", message)


def missing(name: str) -> ApiError:
    """A parameter that must be given was not."""
    return ApiError(
        f"Missing{name}", f'The input parameter "{name}" that is mandatory for processing this request is not supplied.'
    )


def missing_group() -> ApiError:
    """The code of a missing vServer group is generic; callers know it by its message."""
    return ApiError("InvalidParameter", "The specified VServerGroupId does not exist.", 404)


def missing_failover_group() -> ApiError:
    """The same generic code, and a message that calls the group otherwise than all parameters do."""
    return ApiError("InvalidParameter", "The specified MasterSlaveGroupId does not exist.", 404)


def missing_resource() -> ApiError:
    """What the Describe operations of listeners answer for one that does not exist."""
    return invalid("The specified resource does not exist.")
