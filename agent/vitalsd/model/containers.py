"""The container that a process runs in, as far as the host tells."""

from __future__ import annotations

import msgspec

__all__ = ["Container"]


class Container(msgspec.Struct, frozen=True):
    """
    One container: its ids are those of its control group, its names those of the kubelet's folders of logs.

    Names are None where nothing tells them; the ids hold all the same.
    """

    id: str | None
    """As its engine has it, whole; None where only the pod is known."""
    pod_uid: str | None = None
    """None for a container that is in no pod, or in the agent's own."""
    pod: str | None = None
    namespace: str | None = None
    container: str | None = None
    """The name that it has in its pod."""
