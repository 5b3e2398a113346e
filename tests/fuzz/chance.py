"""Contents by hypothesis: one of a target's seeds after some changes, or anything at all."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st

from fuzz.frame import Target
from fuzz.mutate import mutated

__all__ = ["contents"]

MOST_BYTES = 256 << 10


@cache
def contents(target: Target) -> st.SearchStrategy[bytes]:
    """What a target is given."""
    seeds = [path.read_bytes() for path in target.seeds()]
    chance = st.randoms(use_true_random=False)
    changed = st.builds(
        lambda seed, luck: mutated(luck, seed, target.words, MOST_BYTES), st.sampled_from(seeds), chance
    )
    return st.one_of(changed, changed, changed, st.binary(max_size=512))
