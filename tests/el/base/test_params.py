"""Parameters: wrong values are named with their file, section and key, and with what is probably meant."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import yaml

from el.base.errors import ConfigError
from el.base.params import load_params, load_section


@dataclass(frozen=True)
class Section:
    rate: float = 0.1
    steps: int = 1
    name: str = "x"
    quick: bool = True
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = ()
    weights: dict[str, float] | None = None


def load(text: str, path: Path) -> Section:
    path.write_text(f"outer:\n  part: {{{text}}}\n")
    return load_section(Section, load_params(path), "outer.part", path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rate: 5e-5",
            "outer.part.rate is the text '5e-5'; a number is needed. YAML takes it for text: write 5.0e-5",
        ),
        ("rate: 1e3", "write 1.0e+3"),
        ("rate: 2.5E6", "write 2.5e+6"),
        ("rate: -1E-04", "write -1.0e-04"),
        ("rate: '0.5'", "write 0.5"),
        (
            "weights: {model: 2e-4}",
            "outer.part.weights.model is the text '2e-4'; a number is needed.",
        ),
        ("rate: fast", "rate is the text 'fast'; a number is needed"),
        ("rate: .nan", "rate is nan; a finite number is needed"),
        ("rate: yes", "rate is True; a number is needed"),
        ("rate:", "rate is empty; a number is needed"),
        ("rate: [0.1]", "rate is [0.1]; a number is needed"),
        ("steps: 1e4", "steps is the text '1e4'; a whole number is needed: write 10000"),
        ("steps: 3.0", "steps is 3.0; a whole number is needed: write 3"),
        ("steps: 2.5", "steps is 2.5; a whole number is needed"),
        ("steps: 1e999", "steps is the text '1e999'; a whole number is needed"),
        ("name: 12", 'name is 12; text is needed: put it in quotes, such as "12"'),
        ("name: 2024-01-31", 'text is needed: put it in quotes, such as "2024-01-31"'),
        ("quick: 'true'", "quick is the text 'true'; true or false is needed: write true without quotes"),
        ("quick: 1", "quick is 1; true or false is needed"),
        ("kind: c", "kind is 'c'; one of a, b is needed"),
        ("sizes: 3", "sizes is 3; a list is needed, such as [3]"),
        ("sizes: [1, 2e1]", "outer.part.sizes, item 2 is the text '2e1'; a whole number is needed: write 20"),
        ("raet: 1.0", "outer.part.raet is unknown"),
    ],
)
def test_wrong_values(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    with pytest.raises(ConfigError) as caught:
        load(text, path)
    assert str(caught.value).startswith(f"{path}: outer.part")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["5e-5", "1E3", "-2e+4", "+3e8", "1.5e2", "7_0e1", ".5e-3", "5.e-3"])
def test_what_the_message_says_to_write_is_read_as_the_number(text: str, tmp_path: Path) -> None:
    if isinstance(yaml.safe_load(text), float):
        assert load(f"rate: {text}", tmp_path / "params.yaml").rate == float(text)
        return
    with pytest.raises(ConfigError) as caught:
        load(f"rate: {text}", tmp_path / "params.yaml")
    written = str(caught.value).rpartition("write ")[2]
    assert load(f"rate: {written}", tmp_path / "params.yaml").rate == float(text)
