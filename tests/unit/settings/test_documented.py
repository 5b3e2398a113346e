"""What is committed beside the model agrees with it: schema, documentation, annotated file and examples."""

from pathlib import Path

import msgspec
import pytest

from vitalsd.settings.keys import Leaf, Listing, Section, dotted, fields, settable
from vitalsd.settings.load import load
from vitalsd.settings.model import Settings
from vitalsd.settings.schema import schema, schema_text
from vitalsd.settings.show import yaml_value

ROOT = Path(__file__).parents[3]
DOCUMENTATION = ROOT / "docs" / "configuration.md"
ANNOTATED = ROOT / "config" / "vitalsd.yaml"
EXAMPLES = sorted((ROOT / "config" / "examples").glob("*.yaml"))


def tables(struct=Settings, path=()):
    """Yield the heading and the table of every section, as docs/configuration.md has to have them."""
    rows = []
    for name, field in fields(struct).items():
        if isinstance(field, Section):
            yield from tables(field.struct, (*path, name))
        elif isinstance(field, Listing):
            yield from tables(field.item, (*path, f"{name}[]"))
        else:
            default = (
                "required" if field.default is msgspec.NODEFAULT else f"`{yaml_value(field.default, field.parse)}`"
            )
            rows.append(f"| `{name}` | {field.words} | {default} | {field.description} |")
    if rows:
        head = ["| Key | Type | Default | What it does |", "|---|---|---|---|"]
        yield f"## {dotted(path)}", "\n".join([*head, *rows])


@pytest.mark.parametrize(("heading", "table"), list(tables()))
def test_every_key_is_documented(heading, table):
    """Each section has its table in the documentation, word for word what the model says."""
    text = DOCUMENTATION.read_text()
    assert f"\n{heading}\n" in text
    section = text.split(f"\n{heading}\n")[1].split("\n## ")[0]
    assert f"\n{table}\n" in section, f"put this under {heading}:\n{table}"


def test_every_documented_section_exists():
    """The documentation describes no section that is gone."""
    described = [
        line for line in DOCUMENTATION.read_text().splitlines() if line.startswith("## ") and line.islower()
    ]
    assert described == [heading for heading, _ in tables()]


def test_committed_schema_is_the_generated_one():
    """Editors that follow the committed schema are told what loading will say."""
    assert (
        Path(__file__).parents[3] / "agent" / "vitalsd" / "settings" / "schema.json"
    ).read_text() == schema_text()


def test_everything_in_the_schema_is_described():
    """Every key has a description, and no key beyond the model's is allowed."""
    pending = [schema()]
    while pending:
        node = pending.pop()
        assert node["description"]
        if "properties" in node:
            assert node["additionalProperties"] is False
            pending.extend(node["properties"].values())
        pending.extend([node["items"]] if "items" in node else [])


def test_annotated_file_holds_exactly_the_defaults():
    """The annotated file names every key and changes nothing."""
    loaded = load(ANNOTATED, {})
    assert loaded.settings == Settings()
    assert {dotted(path) for path, _ in settable()} == set(loaded.sources)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_loads(path):
    """Each example is valid and watches something."""
    assert load(path, {}).settings.targets


def test_there_are_examples():
    """The examples are found where they are looked for."""
    assert [path.name for path in EXAMPLES] == ["host.yaml", "sidecar.yaml"]


def test_a_key_is_a_leaf_with_words():
    """What an error would say is expected is known for every key."""
    leaves = [field for _, field in settable() if isinstance(field, Leaf)]
    assert all(leaf.words != "text" for leaf in leaves)
