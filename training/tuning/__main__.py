"""Fine-tunes as one process of a launch: `accelerate launch -m openoutcry.training.tuning --base B --data D`."""

import argparse
import sys
from pathlib import Path

from openoutcry.core.errors import OutcryError
from openoutcry.training.examples import dataset
from openoutcry.training.tuning import recipe
from openoutcry.training.tuning.arguments import first
from openoutcry.training.tuning.run import tune
from openoutcry.training.tuning.watching import Step


def main() -> None:
    """Train; the first process tells how far it is, and the folder of what was made."""
    parser = argparse.ArgumentParser(prog="python -m openoutcry.training.tuning", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".outcry"), help="data folder")
    parser.add_argument("--base", type=Path, required=True, help="folder of the model to begin with")
    parser.add_argument("--base-name", default="", help="what the stack calls it")
    parser.add_argument("--data", default="last", help="digest of a data set, or `last`")
    parser.add_argument("--recipe", type=Path, help="TOML file")
    parser.add_argument("--role", default="", help="seat that it is made for")
    given = parser.parse_args()
    try:
        tuned = tune(
            given.home,
            given.base,
            dataset.load(given.home, given.data),
            recipe.read(given.recipe),
            watch=_tell,
            base_name=given.base_name,
            role=given.role,
        )
    except OutcryError as error:
        if first():
            print(f"outcry: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    if first():
        print(tuned.folder)


def _tell(step: Step) -> None:
    """A line each time that there is a loss."""
    if step.train is not None:
        print(f"  {step.step:,} of {step.of:,}, loss {step.train:.3f}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
