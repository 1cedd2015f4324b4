"""Single files of weights: where they come from, under which terms, how they are found and known to be right."""

import dataclasses
import hashlib
import os
from pathlib import Path

import torch


@dataclasses.dataclass(frozen=True)
class File:
    """One file of weights, which `course get NAME` fetches from the first of its urls that has it.

    sha256 is the whole file's, megabytes what it takes on disk, licence its publisher's.
    """

    name: str
    title: str
    urls: tuple[str, ...]
    sha256: str
    licence: str
    megabytes: int

    @property
    def variable(self) -> str:
        """The environment variable that names a local copy."""
        return f"COURSE_{self.name.upper()}"

    @property
    def place(self) -> Path:
        """Where a fetched file lies: among those of torch.hub."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.urls[0].rpartition("/")[2]

    @property
    def way(self) -> str:
        """What a sentence tells those who do not have the file."""
        return f"get its {self.megabytes} MB with `course get {self.name}`, or name a copy of it in {self.variable}"

    def find(self, path: str | Path | None = None) -> Path:
        """The file on this machine, its checksum compared: `path`, what the variable names, or what was fetched.

        Asks no network. Raises FileNotFoundError where there is none, ValueError where it is another file.
        """
        found = Path(path or os.environ.get(self.variable) or self.place)
        if not found.is_file():
            raise FileNotFoundError(f"{self.name}: there is no file {found}; {self.way}.")
        with found.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.sha256:
            raise ValueError(
                f"{self.name}: {found} is not {self.title}, its SHA-256 begins with {digest[:8]}; {self.way}."
            )
        return found

    def fetch(self) -> Path:
        """Download the file, whole and with the right checksum or not at all, -> its path; raises OSError."""
        self.place.parent.mkdir(parents=True, exist_ok=True)
        reasons = []
        for url in self.urls:
            try:
                torch.hub.download_url_to_file(url, str(self.place), hash_prefix=self.sha256, progress=False)
                return self.place
            except (OSError, RuntimeError) as error:  # RuntimeError is another checksum
                reasons.append(f"{url}: {type(error).__name__}")
        raise OSError(
            f"{self.title} could not be downloaded ({'; '.join(reasons)}); check the connection, or name a copy of it "
            f"in {self.variable}."
        )
