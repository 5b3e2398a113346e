"""Whatever stands in what vitalsd reads, it is told with sense or refused: by seeds, and by chance."""

import gc
import logging

import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings

from fuzz.chance import contents
from fuzz.frame import SEEDS, tried
from fuzz.targets import TARGETS


def _seeds():
    return [
        pytest.param(target, path, id=f"{target.name}/{path.name}")
        for target in TARGETS
        for path in target.seeds()
    ]


@pytest.fixture(autouse=True)
def unlogged():
    """What is wrong with thousands of contents is no news."""
    known = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**known)


@pytest.fixture(autouse=True, scope="module")
def collected():
    """What examples have left behind is gone before another test counts what is open."""
    yield
    gc.collect()


@pytest.mark.parametrize(("target", "path"), _seeds())
def test_seed(target, path):
    """Real contents, and those that have once brought a reader down."""
    tried(target.check, path.read_bytes())


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_by_chance(target):
    """The same examples in each run; `make fuzz` takes others."""

    @settings(
        max_examples=target.examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(contents(target))
    def every(content):
        tried(target.check, content)

    every()


def test_all_seeds_are_somebodys():
    """A folder of seeds that no target has would be run by nobody."""
    assert {path.name for path in SEEDS.iterdir()} == {target.name for target in TARGETS}
