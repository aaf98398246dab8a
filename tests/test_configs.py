"""The committed parameters are what configs/ composes, and every group composes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from el.base.errors import ConfigError
from el.base.params import load_section
from el.evaluation.protocol import named_protocol
from el.models.tower import EncoderSource
from el.ontology.mesh_source import MeshSource
from el.pipeline.common import SECTIONS
from el.pipeline.compose import composed
from el.pipeline.scoring import EvaluateConfig
from el.tagging.config import TaggerConfig
from el.training.make_pairs import PairsConfig
from el.training.recipes import Recipe
from etl.fetch_corpus import CorpusSource

ROOT = Path(__file__).parent.parent
DATA = sorted(path.stem for path in (ROOT / "configs" / "data").glob("*.yaml"))
SCHEDULES = sorted(path.stem for path in (ROOT / "configs" / "schedule").glob("*.yaml"))
ENCODERS = sorted(path.stem for path in (ROOT / "configs" / "encoder").glob("*.yaml"))


def params_of(*overrides: str) -> dict[str, Any]:
    params = yaml.safe_load(composed(list(overrides), ROOT / "configs"))
    assert isinstance(params, dict)
    return params


def test_groups_have_the_options_that_pages_name() -> None:
    assert {"sample", "bc5cdr_indra", "ncbi_disease"} <= set(DATA)
    assert {"minilm", "sapbert"} <= set(ENCODERS)
    assert {"published", "contrastive"} <= set(SCHEDULES)


def test_committed_parameters_are_the_default() -> None:
    committed = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert committed == params_of(), "run python -m el.pipeline.compose"
    assert committed["data"]["name"] == "sample"


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("data", DATA)
def test_every_group_composes_to_valid_sections(data: str, encoder: str) -> None:
    params = params_of(f"data={data}", f"encoder={encoder}")
    load_section(CorpusSource, params, "data.corpus")
    load_section(MeshSource, params, "data.mesh")
    load_section(EncoderSource, params, "encoder")
    load_section(PairsConfig, params, "pairs")
    for recipe in ("align", "pretrain", "finetune"):
        load_section(Recipe, params, recipe)
    load_section(TaggerConfig, params, "tagger")
    config = load_section(EvaluateConfig, params, "evaluate")
    assert [named_protocol(name).name for name in config.protocols] == list(config.protocols)
    # The winner is chosen by this protocol.
    assert "full" in config.protocols


def test_ids_of_other_vocabularies_have_a_protocol() -> None:
    for data, other in (
        ("sample", "restricted"),
        ("bc5cdr_indra", "restricted"),
        ("ncbi_disease", "mesh_ids"),
    ):
        assert params_of(f"data={data}")["evaluate"]["protocols"] == ["full", other]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_composes_to_valid_recipes(schedule: str) -> None:
    params = params_of(f"schedule={schedule}")
    for recipe in ("align", "pretrain", "finetune"):
        load_section(Recipe, params, recipe)
    changed = load_section(Recipe, params, "finetune", **params["finetune_bi_encoder"])
    assert (changed.joint_weight, changed.head_learning_rate) == (0.0, None)
    load_section(TaggerConfig, params, "tagger")
    assert set(params) == set(SECTIONS)


def test_contrastive_schedule_differs_from_the_published_one_in_its_losses_only() -> None:
    one, other = (params_of(f"schedule={name}") for name in ("published", "contrastive"))
    assert (one["finetune"]["label_items"], one["finetune"]["margin_weight"]) == (1, 1.0)
    assert (other["finetune"]["in_batch"], other["finetune"]["own_items"]) == ("all", 9)
    for params in (one, other):
        for key in ("label_items", "margin_weight", "in_batch", "own_items"):
            params["finetune"].pop(key, None)
    assert one == other


def test_published_schedule_trains_both_sides_of_released_checkpoints() -> None:
    params = params_of("encoder=sapbert", "schedule=published")
    assert params["qnet"]["pretrained"] == "jfkback/hypencoder.{depth}_layer"
    assert load_section(Recipe, params, "finetune").passages == "trained"


def test_misspelt_parameter_is_named() -> None:
    params = params_of()
    params["finetune"]["learning_rat"] = params["finetune"].pop("learning_rate")
    with pytest.raises(ConfigError, match=r"finetune\.learning_rat is unknown"):
        load_section(Recipe, params, "finetune")


def test_unknown_option_is_an_error_of_ours() -> None:
    with pytest.raises(ConfigError, match="data=nothing"):
        params_of("data=nothing")
