"""Stage: mines hard negatives, the names that the aligned tower finds nearest to each query."""

from el.base.cli import run_command
from el.base.files import atomic_folder
from el.base.params import load_section
from el.index.vectors import NameVectors
from el.models.inputs import name_inputs
from el.models.loading import load_model
from el.pipeline.common import Workspace
from el.training.mining import Miner, MiningConfig
from el.training.pairs import read_pairs, write_pairs


def main() -> None:
    space = Workspace.here()
    ontology = space.ontology
    model = load_model(space.models / "aligned")
    vectors = NameVectors.open(space.aligned_vectors, ontology)
    config = load_section(MiningConfig, space.params, "mining")
    texts = name_inputs(ontology, space.inputs.definition_characters)
    miner = Miner(model, vectors, ontology, config, texts)
    with atomic_folder(space.models / "mined") as out:
        for name in ("names", "train"):
            pairs = list(read_pairs(space.data / "pairs" / f"{name}.jsonl"))
            if name == "names":
                pairs = pairs[: config.names]
            mined = miner.for_training(pairs, f"mine {name}", names=name == "names")
            write_pairs(out / f"{name}.jsonl", mined)
        dev = list(read_pairs(space.data / "pairs" / "dev.jsonl"))
        write_pairs(out / "dev.jsonl", miner.for_selection(dev, "mine dev"))


if __name__ == "__main__":
    run_command(main, __doc__)
