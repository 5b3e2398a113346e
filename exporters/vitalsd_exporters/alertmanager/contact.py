"""How one Alertmanager is reached: the path of its API, and the token or password that it is shown."""

from __future__ import annotations

import base64
from functools import partial

from vitalsd.errors import VitalsdError
from vitalsd.settings.model import AlertmanagerPeer
from vitalsd_exporters.push.contact import Headers, Place, place_of, secret
from vitalsd_exporters.push.reach import Reach, TlsFiles

__all__ = ["alerts_of", "reach_of"]


def alerts_of(url: str) -> Place:
    """Where the alerts of the Alertmanager with this URL are posted to."""
    return place_of(url, "/api/v2/alerts")


def reach_of(peer: AlertmanagerPeer) -> Reach:
    """How it is asked."""
    is_secret = peer.bearer_token_file is not None or peer.password_file is not None
    files = TlsFiles(peer.ca_file, peer.cert_file, peer.key_file)
    return Reach(alerts_of(peer.url), files, partial(_authorization, peer) if is_secret else None)


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
