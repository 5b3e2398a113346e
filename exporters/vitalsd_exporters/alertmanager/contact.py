"""How one Alertmanager is reached: the path of its API, and the token or password that it is shown."""

from __future__ import annotations

import base64
import ssl

from vitalsd.errors import VitalsdError
from vitalsd.settings.model import AlertmanagerPeer
from vitalsd_exporters.push.contact import (
    Contact,
    Headers,
    Place,
    addresses_of,
    is_address,
    place_of,
    secret,
    tls_of,
)

__all__ = ["alerts_of", "find", "needs_nobody"]


def alerts_of(url: str) -> Place:
    """Where the alerts of the Alertmanager with this URL are posted to."""
    return place_of(url, "/api/v2/alerts")


def needs_nobody(peer: AlertmanagerPeer, place: Place) -> bool:
    """Whether it is an address, asked without secrets and certificates."""
    return not place.is_tls and peer.bearer_token_file is None and peer.password_file is None and is_address(place)


def find(peer: AlertmanagerPeer, place: Place, tls: ssl.SSLContext | None) -> Contact:
    """Look it up; `tls` is what an earlier look-up has brought. Raises VitalsdError, OSError."""
    if place.is_tls and tls is None:
        tls = tls_of(peer.ca_file, peer.cert_file, peer.key_file)
    return Contact(addresses_of(place), _authorization(peer), tls)


def _authorization(peer: AlertmanagerPeer) -> Headers:
    if peer.bearer_token_file is not None:
        token = secret(peer.bearer_token_file, "bearer_token_file")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise VitalsdError(f"bearer_token_file {peer.bearer_token_file} holds no token of one line")
        return (("Authorization", f"Bearer {token}"),)
    if peer.username is not None and peer.password_file is not None:
        pair = f"{peer.username}:{secret(peer.password_file, 'password_file')}"
        return (("Authorization", "Basic " + base64.b64encode(pair.encode()).decode()),)
    return ()
