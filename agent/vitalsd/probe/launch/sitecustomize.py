"""
Found first on PYTHONPATH, this arms the probe and then runs the `sitecustomize` that it shadows, if any.

The probe lies in the folder that `_PROBE` names, `../python` inside the agent's own installation; `vitalsd probe
install` writes another name there. It is loaded by its path: nothing is added to `sys.path`.

Every Python process of the service starts with this, also helpers on a Python that the probe does not know, 2.7
included: so it has no annotations. It uses the import system as the interpreter has frozen it, since
`importlib.util` alone would bring a dozen modules that a short script may never need.
"""

# mypy: ignore-errors
# (annotations are syntax that Python 2 does not have)

import sys
from os.path import abspath, dirname, join

_PROBE = "../python"
_here = dirname(abspath(__file__))


def _arm_probe():
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import spec_from_file_location

    folder = abspath(join(_here, _PROBE))
    path = join(folder, "__init__.py")
    spec = spec_from_file_location("vitalsd_probe", path, submodule_search_locations=[folder])
    module = sys.modules["vitalsd_probe"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.install()


def _run_shadowed():
    elsewhere = [entry for entry in sys.path if abspath(entry or ".") != _here]
    if sys.version_info < (3, 5):
        import imp

        try:
            found = imp.find_module("sitecustomize", elsewhere)
        except ImportError:
            return
        imp.load_module("sitecustomize", *found)
        return
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import PathFinder

    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        module = sys.modules["sitecustomize"] = module_from_spec(spec)
        spec.loader.exec_module(module)


try:
    if sys.version_info >= (3, 8):
        _arm_probe()
except Exception:
    pass  # the service must start whatever happens to the probe
_run_shadowed()
