"""`course get NAME`: download what the registry knows, from the first of its addresses that has it."""

import os
import sys
from pathlib import Path

from course_lib import models


def main(name: str) -> int:
    """Say what comes and under which licence, fetch it, say where it lies; 1 where it cannot be had."""
    try:
        place = file(models.FILES[name]) if name in models.FILES else model(models.chosen(name))
    except KeyError:
        known = ", ".join([*models.MODELS, *models.FILES])
        print(f"course get: no model {name}; there are {known}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"`course get` needs {error.name}: pip install 'diverse-diffusion[sd]'", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"course get: {error}", file=sys.stderr)
        return 1
    print(f"{name} is in {place}")
    return 0


def model(wanted: models.Model) -> Path:
    """The folder of a model, downloaded where it is not here."""
    folder = models.find(wanted)
    if folder is None:
        announce(wanted)
        folder = models.fetch(wanted)
    return folder


def file(wanted: models.File) -> Path:
    """The place of a file of weights, downloaded where it is not here; a file with another checksum is refused."""
    if os.environ.get(wanted.variable) or wanted.place.is_file():
        return wanted.find()
    announce(wanted)
    return wanted.fetch()


def announce(wanted: models.Model | models.File) -> None:
    """Say what comes."""
    print(f"{wanted.title}: {wanted.megabytes} MB, licence {wanted.licence}", flush=True)
