"""
What the other workers of a target tell about one that grows: a leak follows age, load follows the clock. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vitalsd.detect.growth.shape import Rise
from vitalsd.detect.growth.watch import GrowthWatch

__all__ = ["MOST_PEERS", "Pool", "pool_of"]

MOST_PEERS = 50
"""More tell no more, and all of them are asked for each worker that grows."""

LEAST_OTHERS = 2
"""One other that grows alike may have the same leak."""
OLDER_SHARE = 0.5
"""Of the window: by so much others must be older or younger to tell anything."""
ALIKE_SHARE = 0.5
"""Of its growth: who has grown by so much in the same window grows alike."""
APART_SHARE = 0.5
"""Of what the difference in age would make at that pace: who is less far apart has not grown by age."""


class Pool(msgspec.Struct, frozen=True):
    """One worker among others of another age."""

    others: int
    """That were there for all of the window, and differ enough in age."""
    alike: int
    """Of them, those that have grown in the same time, whatever their age, and are as large as this one."""

    @property
    def is_load(self) -> bool:
        """All grow by the clock, and being older has made none larger."""
        return self.others >= LEAST_OTHERS and self.alike == self.others


def pool_of(watch: GrowthWatch, peers: Sequence[GrowthWatch], rise: Rise) -> Pool:
    """What the peers did while this one grew."""
    level = watch.memory.floor() or 0.0
    others = alike = 0
    for peer in peers:
        if peer is watch or peer.start is None or watch.start is None:
            continue
        seconds = peer.memory.window_of(rise.window_seconds)
        grew, other_level = peer.memory.growth(seconds, watch.at), peer.memory.floor()
        older = abs(peer.start - watch.start)
        if grew is None or other_level is None or older < OLDER_SHARE * rise.window_seconds:
            continue
        by_age = older * rise.grew / rise.window_seconds
        others += 1
        alike += grew >= ALIKE_SHARE * rise.grew and abs(other_level - level) <= APART_SHARE * by_age
    return Pool(others, alike)
