"""
`import vitalsd_probe; vitalsd_probe.install()` gets the probe itself: this file only says where it is.

The probe takes this module's place, and all of it comes from the one folder that is named here, also what it
imports after another version has been installed.
"""

# mypy: ignore-errors
# (what the frozen import system gives has types that only `importlib` would narrow)

import sys
from os.path import abspath, dirname, join

_PROBE = "../python"


def _load_probe():
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import spec_from_file_location

    folder = abspath(join(dirname(abspath(__file__)), _PROBE))
    path = join(folder, "__init__.py")
    spec = spec_from_file_location("vitalsd_probe", path, submodule_search_locations=[folder])
    module = sys.modules["vitalsd_probe"] = module_from_spec(spec)
    spec.loader.exec_module(module)


_load_probe()
