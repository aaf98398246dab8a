from pathlib import Path

import pytest
import yaml

from el.base.errors import ConfigError, InputError
from el.evaluation.protocol import ROWS, Protocol, load_protocol

CONFIGS = Path(__file__).parents[3] / "src" / "el" / "evaluation" / "protocols"


def test_the_headline_protocol_is_as_published() -> None:
    protocol = load_protocol(CONFIGS / "full.yaml")
    assert (protocol.name, protocol.mentions, protocol.candidates) == ("full", "full", "all")
    assert (protocol.retrieved, protocol.cutoffs, protocol.rows) == (100, (1, 5, 10, 100), ROWS)
    assert (protocol.bootstrap_samples, protocol.bootstrap_seed) == (1000, 0)


def test_the_earlier_works_protocol_differs_in_mentions_and_candidates() -> None:
    protocol = load_protocol(CONFIGS / "restricted.yaml")
    assert (protocol.name, protocol.mentions, protocol.candidates) == ("restricted", "restricted", "split")


def test_the_protocol_of_mesh_ids_differs_from_the_headline_protocol_in_mentions() -> None:
    full, mesh_ids = (yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) for name in ("full", "mesh_ids"))
    assert mesh_ids == full | {"name": "mesh_ids", "mentions": "mesh_ids"}
    assert load_protocol(CONFIGS / "mesh_ids.yaml").mentions == "mesh_ids"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", ""),
        ("name", "full/all"),
        ("mentions", "some"),
        ("candidates", "dev"),
        ("retrieved", 0),
        ("retrieved", True),
        ("cutoffs", []),
        ("cutoffs", 5),
        ("cutoffs", "15"),
        ("cutoffs", [5, 1]),
        ("cutoffs", [1, 1]),
        ("cutoffs", [0, 1]),
        ("cutoffs", [1, 101]),
        ("rows", []),
        ("rows", "all"),
        ("rows", ["all", "chemicals"]),
        ("bootstrap_samples", 0),
        ("bootstrap_seed", -1),
    ],
)
def test_values_out_of_range_are_refused(key: str, value: object) -> None:
    values = yaml.safe_load((CONFIGS / "full.yaml").read_text())
    with pytest.raises(ConfigError, match=key):
        Protocol.from_mapping(values | {key: value})


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text((CONFIGS / "full.yaml").read_text().replace("bootstrap_seed: 0", "bootstrap_seed: -1"))
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*bootstrap_seed is -1"):
        load_protocol(path)


def test_unknown_and_missing_keys_are_refused() -> None:
    values = yaml.safe_load((CONFIGS / "full.yaml").read_text())
    with pytest.raises(ConfigError, match="unknown cutofs"):
        Protocol.from_mapping(values | {"cutofs": [1]})
    del values["rows"]
    with pytest.raises(ConfigError, match="rows missing"):
        Protocol.from_mapping(values)


def test_files_that_are_no_protocol_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "protocol.yaml"
    with pytest.raises(InputError, match="no such file"):
        load_protocol(path)
    path.write_text("- full\n")
    with pytest.raises(InputError, match="not a mapping"):
        load_protocol(path)
    path.write_text("name: [full\n")
    with pytest.raises(InputError, match="not YAML"):
        load_protocol(path)
