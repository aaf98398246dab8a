"""Chooses the winner, the system with the best accuracy@1 on dev. Test is not used."""

from el.base.errors import ConfigError
from el.base.files import read_json, write_json
from el.pipeline.common import METRICS, Workspace

CRITERION = "accuracy@1 on dev, protocol full"


def choose(space: Workspace) -> str:
    """Chooses the winner and writes metrics/winner.json. Returns the name of the winner.

    Raises:
        ConfigError: the criterion was not measured.
    """
    scores: dict[str, float] = {}
    for system in space.trained_systems:
        path, key = space.evaluation(system) / "dev.json", f"full/{system}/all/accuracy@1"
        if not path.is_file() or key not in (figures := read_json(path)):
            raise ConfigError(
                f"{path}: has no {key}, by which the winner is chosen. Put dev into evaluate.splits, and "
                "full into evaluate.protocols"
            )
        scores[system] = figures[key]
    # Of equal systems `max` takes the first, which is the cheapest to run.
    winner = max(scores, key=lambda system: scores[system])
    write_json(
        METRICS / "winner.json", {"system": winner, "criterion": CRITERION, "accuracy": scores[winner]}
    )
    return winner
