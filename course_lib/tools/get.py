"""`course get NAME`: download a model of the registry, from the first of its mirrors that has it."""

import sys

from course_lib import models


def main(name: str) -> int:
    """Say what comes and under which licence, fetch it, say where it lies; 1 where no mirror has such a model."""
    try:
        model = models.chosen(name)
        folder = models.find(model)
        if folder is None:
            print(f"{model.title}: {model.megabytes} MB, licence {model.licence}", flush=True)
            folder = models.fetch(model)
    except KeyError:
        print(f"course get: no model {name}; there are {', '.join(models.MODELS)}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"`course get` needs {error.name}: pip install 'diverse-diffusion[sd]'", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"course get: {error}", file=sys.stderr)
        return 1
    print(f"{name} is in {folder}")
    return 0
