"""A protocol: a text file (TOML) that says which sets of pictures are made and how they are compared."""

import tomllib
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path

PROTOCOLS = Path(__file__).parent / "protocols"
METHODS = ("plain", "langevin", "repulsion")
SPACINGS = ("pipeline", "linspace")  # of timesteps: the scheduler's own, or even over all of them with a last level 0
PROMPTS = ("plain", "each", "all")
FEATURES = (
    "latent",
    "channel average",
    "rule of thirds",
    "random CNN",
    "style classifier",
    "style classifier and thirds",
)

NUMBER = ((int, float), "a number")
KINDS = {str: (str, "a text in quotes"), int: (int, "a whole number"), float: NUMBER, float | None: NUMBER}


@dataclass(frozen=True)
class PictureSet:
    """One set: which prompt, first seed and method. `alpha` in units of the score, `relative` a share of its length."""

    name: str
    prompt: str = "plain"
    method: str = "plain"
    feature: str = ""
    on: str = "x"
    alpha: float = 0.0
    relative: float | None = None
    above: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Protocol:
    """What a protocol's file says, checked. Sizes are numbers of pictures; `text` is the file as it stands."""

    title: str
    model: str
    prompts: dict[str, str]
    sets: tuple[PictureSet, ...]
    group: int
    text: str
    steps: int = 20
    w: float = 7.5
    pictures: int = 0
    seeds: int = 0
    shard: int = 0
    draws: int = 200
    embedding: str = "world"
    clip: str = ""
    style: str = ""
    spacing: str = "pipeline"
    each: str = "{prompt}, by {artist}"
    all: str = "{prompt}, by {artists}"
    artists: list[str] = field(default_factory=list)

    def wording(self, prompt: str, kind: str, i: int) -> str:
        """The text of picture i: the prompt, with one artist in turn (`each`), or with all of them (`all`)."""
        if kind == "plain":
            return prompt
        if kind == "all":
            return self.all.format(prompt=prompt, artists=", ".join(self.artists))
        return self.each.format(prompt=prompt, artist=self.artists[i % len(self.artists)])


def read(name: str) -> Protocol:
    """A protocol that ships, by its name, or a file; raises ValueError with one sentence where it cannot be used."""
    shipped = sorted(path.stem for path in PROTOCOLS.glob("*.toml"))
    path = PROTOCOLS / f"{name}.toml" if name in shipped else Path(name)
    if not path.is_file():
        raise ValueError(f"there is no protocol {name}; name one of {', '.join(shipped)}, or a file of your own.")
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path.name} is no protocol in TOML: {str(error).rstrip('.')}.") from error
    listed = table.pop("sets", [])
    if not (isinstance(listed, list) and listed and all(isinstance(one, dict) for one in listed)):
        raise ValueError(f"{path.name}: needs at least one [[sets]] with its name.")
    sets = tuple(one for entry in listed for one in _swept(entry, path.name))
    protocol = _made(Protocol, {**table, "sets": sets, "text": text}, path.name)
    return _checked(protocol, path.name)


def _swept(entry: dict, file: str) -> list[PictureSet]:
    """A set, or one for each strength where alpha is a list."""
    alphas = entry.get("alpha")
    if not isinstance(alphas, list):
        return [_made(PictureSet, entry, file)]
    if not alphas or not all(isinstance(a, int | float) for a in alphas):
        raise ValueError(f"{file}: alpha must be a number or a list of numbers, got {alphas}.")
    return [_made(PictureSet, {**entry, "alpha": a, "name": f"{entry.get('name')} {a:g}"}, file) for a in alphas]


def _made(kind: type, table: dict, file: str):
    """A dataclass from a table; raises ValueError for a key too many, one too few, or a value of another kind."""
    known = {one.name: one for one in fields(kind)}
    if unknown := set(table) - set(known):
        raise ValueError(f"{file}: {', '.join(sorted(unknown))} is unknown; there are {', '.join(known)}.")
    needed = [name for name, one in known.items() if one.default is MISSING and one.default_factory is MISSING]
    if missing := [name for name in needed if name not in table]:
        raise ValueError(f"{file}: {', '.join(missing)} is missing.")
    for name, value in table.items():
        want, said = KINDS.get(known[name].type, (object, ""))
        if not isinstance(value, want) or isinstance(value, bool):
            raise ValueError(f"{file}: {name} must be {said}, got {value!r}.")
    return kind(**table)


def _checked(protocol: Protocol, file: str) -> Protocol:
    """The protocol, with the number of pictures worked out; raises ValueError with one sentence."""
    if not isinstance(protocol.artists, list) or protocol.artists and not _texts(dict(enumerate(protocol.artists))):
        raise ValueError(f"{file}: artists must be a list of names, got {protocol.artists!r}.")
    values = dict(vars(protocol))
    values["pictures"] = protocol.pictures or protocol.seeds * len(protocol.artists)
    values["shard"] = protocol.shard or protocol.group
    made = Protocol(**values)
    names = [one.name for one in made.sets]
    for wrong, sentence in (
        (min(made.steps, made.group, made.shard) < 1, "steps, group and shard must be at least 1"),
        (made.pictures < 1, "needs pictures, or artists and seeds of each"),
        (made.pictures % made.group or made.group % made.shard, "shard must divide group, and group the pictures"),
        (not made.w >= 0 or made.draws < 2, "w must be at least 0 and draws at least 2"),
        (made.embedding not in ("world", "inception"), f"embedding must be world or inception, got {made.embedding}"),
        (made.spacing not in SPACINGS, f"spacing must be {' or '.join(SPACINGS)}, got {made.spacing}"),
        (len(set(map(slug, names))) < len(names), "two sets have one name"),
        (not _texts(made.prompts) or len(set(map(slug, made.prompts))) < len(made.prompts), "needs [prompts] by name"),
        (_unfit(made.each, artist=""), "each may hold {prompt} and {artist}, and no other braces"),
        (_unfit(made.all, artists=""), "all may hold {prompt} and {artists}, and no other braces"),
    ):
        if wrong:
            raise ValueError(f"{file}: {sentence}.")
    for one in made.sets:
        _check_set(one, made, file)
    return made


def _texts(table: object) -> bool:
    return isinstance(table, dict) and bool(table) and all(isinstance(t, str) and t.strip() for t in table.values())


def _unfit(template: str, **names: str) -> bool:
    """Whether a text with braces asks for other names than the prompt's and these."""
    try:
        template.format(prompt="", **names)
    except (KeyError, IndexError, ValueError, AttributeError):
        return True
    return False


def _check_set(one: PictureSet, protocol: Protocol, file: str) -> None:
    for value, among, what in (
        (one.method, METHODS, "method"),
        (one.prompt, PROMPTS, "prompt"),
        (one.on, ("x", "x0"), "on"),
        (one.feature, FEATURES if one.method == "repulsion" else ("",), "feature"),
    ):
        if value not in among:
            choice = ", ".join(among) if among != ("",) else "left out without repulsion"
            raise ValueError(f"{file}: {what} of the set {one.name} must be {choice}; got {value!r}.")
    if one.prompt != "plain" and not protocol.artists:
        raise ValueError(f"{file}: the set {one.name} names artists, but the protocol has none.")
    if one.method == "repulsion" and protocol.group < 2:
        raise ValueError(f"{file}: repulsion needs a group of at least 2 pictures, got {protocol.group}.")
    if one.relative is not None and not one.relative >= 0:
        raise ValueError(f"{file}: relative of the set {one.name} must be at least 0, got {one.relative}.")


def slug(name: str) -> str:
    """A name as a folder's: lower case, with a hyphen for all but letters, digits and dots."""
    return "-".join("".join(c if c.isalnum() or c == "." else " " for c in name.lower()).split())
