"""Reads the environment's proxy and certificate settings.

All of them are checked before a request is sent, so that an error names the setting that cannot
work.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from ssl import PROTOCOL_TLS_CLIENT, SSLContext, create_default_context
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi

from dropscale.magichour.urls import fault_of

_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables for requests, curl and OpenSSL; the first that is set counts."""


class BadSetting(Exception):
    """A setting cannot work; the message names it and says why, without its value."""


@dataclass(frozen=True)
class Library:
    """What a transport needs for one proxy scheme: a module, and the package that has it."""

    module: str
    package: str


ProxySchemes = Mapping[str, Library | None]
"""The proxy schemes that a transport supports, and what each needs."""


@dataclass(frozen=True)
class Route:
    """How to reach a host: through a proxy, or directly; and which certificates to trust."""

    proxy: str | None
    tls: SSLContext


def route_to(url: str, schemes: ProxySchemes, *, direct: bool) -> Route:
    """Return the route to a URL's host.

    Args:
        url: the URL to reach.
        schemes: the proxy schemes that are supported.
        direct: whether to ignore all proxies.

    Raises:
        BadSetting: a proxy or the certificates cannot be used.
    """
    proxy = None if direct else _proxy_for(urlsplit(url), schemes)
    is_secure = "https" in {urlsplit(url).scheme, urlsplit(proxy or "").scheme}
    # Without TLS no certificate is needed, so unreadable ones do not matter.
    return Route(proxy, trusted_certificates() if is_secure else _trusting_nobody())


def trusted_certificates() -> SSLContext:
    """Return a TLS context, the same one for the same certificates.

    Raises:
        BadSetting: they cannot be read.
    """
    variable = first_set(_CERTIFICATES)
    path = os.environ[variable] if variable else certifi.where()
    if variable and not os.path.exists(path):
        raise BadSetting(f"{variable} names a file or folder that does not exist")
    try:
        return _tls_context(path)
    except (OSError, ValueError) as error:
        key_log = os.environ.get("SSLKEYLOGFILE")
        if key_log and getattr(error, "filename", None) == key_log:
            raise BadSetting("SSLKEYLOGFILE names a file that cannot be written") from None
        source = f"{variable} names certificates" if variable else "the package certifi has files"
        raise BadSetting(f"{source} that cannot be read ({type(error).__name__})") from None


@lru_cache
def _tls_context(path: str) -> SSLContext:
    is_folder = os.path.isdir(path)
    return create_default_context(
        cafile=None if is_folder else path, capath=path if is_folder else None
    )


def first_set(variables: Sequence[str]) -> str | None:
    """Return the first of the variables that is not empty."""
    return next((name for name in variables if os.environ.get(name)), None)


@lru_cache
def _trusting_nobody() -> SSLContext:
    return SSLContext(PROTOCOL_TLS_CLIENT)


def _proxy_for(parts: SplitResult, schemes: ProxySchemes) -> str | None:
    proxies = getproxies()
    kind = parts.scheme if proxies.get(parts.scheme) else "all"
    proxy = proxies.get(kind)
    if not proxy or _is_bypassed(parts):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if fault := _fault_of_proxy(proxy, schemes):
        raise BadSetting(f"{_setting_of(kind)} names a proxy that cannot be used: {fault}")
    return proxy


def _setting_of(kind: str) -> str:
    name = f"{kind}_proxy"
    return first_set([name, name.upper()]) or "the system's proxy setting"


def _fault_of_proxy(proxy: str, schemes: ProxySchemes) -> str | None:
    try:
        scheme = urlsplit(proxy).scheme
    except ValueError:
        return "it is not a URL"
    if scheme not in schemes:
        return f"its scheme is not one of {', '.join(schemes)}"
    library = schemes[scheme]
    if library and find_spec(library.module) is None:
        return f"its scheme is {scheme!r}, which needs the package {library.package}"
    if fault := fault_of(proxy):
        return fault
    parts = urlsplit(proxy)
    try:
        unquote(f"{parts.username}{parts.password}").encode("latin-1")
    except UnicodeEncodeError:
        return "its user or password has characters that a header cannot have"
    return None


def _is_bypassed(parts: SplitResult) -> bool:
    """Whether NO_PROXY names the host: itself, its domain, with its port, or its network."""
    host, host_and_port = parts.hostname or "", parts.netloc.rpartition("@")[2]
    if proxy_bypass(host_and_port):
        return True
    return any(_has_address(network, host) for network in getproxies().get("no", "").split(","))


def _has_address(network: str, host: str) -> bool:
    try:
        return ip_address(host) in ip_network(network.strip(), strict=False)
    except ValueError:
        return False
