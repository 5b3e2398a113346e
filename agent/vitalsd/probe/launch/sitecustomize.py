"""
Found first on PYTHONPATH, this arms the probe and then runs the `sitecustomize` that it shadows, if any.

The probe lies beside this file as `vitalsd_probe` (where `vitalsd probe install` put it) or, inside the agent's
own installation, as the folder `../python`. It is loaded by its path: nothing is added to `sys.path`.

Every Python process of the service starts with this, so it uses the import system as the interpreter has frozen
it: `importlib.util` alone would bring a dozen modules that a short script may never need.
"""

from __future__ import annotations

import sys
from _frozen_importlib import module_from_spec
from _frozen_importlib_external import PathFinder, spec_from_file_location
from os.path import abspath, dirname, isdir, join

_here = dirname(abspath(__file__))


def _arm_probe() -> None:
    folder = join(_here, "vitalsd_probe")
    if not isdir(folder):
        folder = join(dirname(_here), "python")
    spec = spec_from_file_location(
        "vitalsd_probe", join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["vitalsd_probe"] = module
    spec.loader.exec_module(module)
    module.install()


def _run_shadowed() -> None:
    elsewhere = [entry for entry in sys.path if abspath(entry or ".") != _here]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


try:
    _arm_probe()
except BaseException:
    pass
_run_shadowed()
