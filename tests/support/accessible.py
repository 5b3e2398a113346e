"""Whether everybody can use a page: what axe-core finds in it, which `make node-services` installs from npm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["barriers", "needs_axe"]

SCRIPT = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(
    not SCRIPT.exists(), reason="axe-core is not installed: `make node-services`, which needs npm"
)
HEAVY = ("serious", "critical")
RUN = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ['violations'] });
  return violations.map(({ id, impact, help, nodes }) =>
    ({ id, impact, help, where: nodes.slice(0, 5).map(({ target }) => target.join(' ')) }));
}"""


def barriers(page: Page, *impacts: str) -> list[str]:
    """What keeps somebody from using the page as it is now, a line each; what is serious, or of these impacts."""
    if not page.evaluate("() => typeof axe == 'object'"):
        page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    found = page.evaluate(RUN)
    return [
        f"{each['impact']}: {each['help']} ({each['id']}), at {', '.join(each['where'])}"
        for each in found
        if each["impact"] in (impacts or HEAVY)
    ]
