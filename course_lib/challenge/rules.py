"""The rules of the challenge: counted calls, a frame that hides where pictures lie, prompts that nobody knows."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from course_lib import world
from course_lib.checks import finite, typed, whole
from course_lib.denoisers import Denoiser

STRENGTHS = (0.0, 0.5, 1.0)  # what a method is asked at: its frontier has three points
CALLS, STEPS = 20, 10  # for each picture, levels: so many with guidance


class Overspent(RuntimeError):
    """A method asked for more calls than it has."""


@dataclass
class Budget:
    """So many calls of a network, shared by all denoisers that `counted` wraps; a row of a batch is one call (16.1).

    A gradient's way back through the network costs two more a row. Raises ValueError for a number of calls below 1.
    """

    calls: int
    spent: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if whole(self.calls, "Budget: calls") < 1:
            raise ValueError(f"Budget: calls must be at least 1, got {self.calls}.")

    def pay(self, n: int) -> None:
        """Take n calls; raises Overspent where there are not so many left, and takes none."""
        if self.spent + n > self.calls:
            raise Overspent(
                f"the budget of {self.calls} calls is spent: {self.spent} were made, {n} more were asked for"
            )
        self.spent += n

    def counted(self, denoiser: Denoiser) -> Denoiser:
        """The same denoiser, each row of which is paid for before it is computed."""

        def paid(x: Tensor, sigma: Tensor) -> Tensor:
            self.pay(len(x))
            x0 = denoiser(x, sigma)
            if x0.requires_grad:
                x0.register_hook(lambda gradient: self.pay(2 * len(gradient)))
            return x0

        return paid


@dataclass(frozen=True)
class Frame:
    """Another frame of the latents: channels turned by an orthogonal matrix, rows and columns swapped or reversed.

    What a method learns in it says nothing of where a stored picture would lie; distances, bands of rows and columns
    and means of cells are what they were, but for their order.
    """

    turn: Tensor
    swap: bool = False
    reverse: tuple[int, ...] = ()

    def into(self, z: Tensor) -> Tensor:
        """Latents of the model -> of this frame, (N, C, h, w) -> (N, C, h, w)."""
        z = torch.einsum("cd,ndhw->nchw", self.turn.to(z), z)
        z = z.transpose(2, 3) if self.swap else z
        return z.flip(self.reverse) if self.reverse else z

    def back(self, z: Tensor) -> Tensor:
        """The inverse of `into`."""
        z = z.flip(self.reverse) if self.reverse else z
        z = z.transpose(2, 3) if self.swap else z
        return torch.einsum("dc,ndhw->nchw", self.turn.to(z), z)

    def seen(self, denoiser: Denoiser) -> Denoiser:
        """The same denoiser as it is seen in this frame."""
        return lambda x, sigma: self.into(denoiser(self.back(x), sigma))


@typed
def hidden_frame(generator: torch.Generator, channels: int = 4) -> Frame:
    """A frame drawn from a generator: a random rotation of the channels, one of the grid's eight symmetries."""
    q, r = torch.linalg.qr(torch.randn(channels, channels, generator=generator, dtype=torch.float64))
    swap, down, across = torch.randint(2, (3,), generator=generator).tolist()
    return Frame((q * r.diagonal().sign()).float(), bool(swap), (2,) * down + (3,) * across)


@typed
def hidden_prompts(n: int, generator: torch.Generator) -> list[str]:
    """n prompts, all different, each naming a shape and a colour or a style, drawn from a generator.

    No place: `tiny` does not heed one. Raises ValueError for more than there are.
    """
    named = [{"colour": colour} for colour in world.COLOURS] + [{"style": style} for style in world.STYLES]
    lines = [world.phrase(shape, **one) for shape in world.HEAD for one in named]
    if not 1 <= whole(n, "hidden_prompts: n") <= len(lines):
        raise ValueError(f"hidden_prompts: n must be from 1 to {len(lines)}, got {n}.")
    return [lines[i] for i in torch.randperm(len(lines), generator=generator)[:n].tolist()]


@dataclass(frozen=True)
class Round:
    """One group of a challenge: a prompt, the starts (N, C, h, w) at the first of the levels, both in a frame."""

    prompt: str
    x: Tensor
    levels: Tensor
    frame: Frame

    def denoisers(self, sd) -> tuple[Denoiser, Denoiser]:
        """With the prompt and without one, of a StableDiffusion, as this round's frame shows them."""

        def of(text: str) -> Denoiser:
            shown = self.frame.seen(sd.prompt(text, w=1))

            def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
                if not isinstance(x, Tensor) or x.shape[1:] != self.x.shape[1:]:
                    got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
                    raise ValueError(f"x must be latents (N, {', '.join(map(str, self.x.shape[1:]))}), got {got}.")
                return shown(x.float(), sigma).to(x.device)  # a method and its starts live on the CPU

            return denoiser

        return of(self.prompt), of("")

    def play(self, method: Callable, sd, strength: float) -> Tensor:
        """A method's latents under CALLS calls for each picture, checked, in this process -> (N, C, h, w).

        Raises Overspent, and ValueError for what is no set of finite latents of the starts' shape.
        """
        budget = Budget(CALLS * len(self.x))
        prompted, unprompted = (budget.counted(D) for D in self.denoisers(sd))
        return self.checked(method(prompted, unprompted, self.x.clone(), self.levels.clone(), strength))

    def checked(self, x) -> Tensor:
        """What a method returned, where it is finite and of the starts' shape; raises ValueError."""
        if not isinstance(x, Tensor) or x.shape != self.x.shape:
            got = f"a tensor of shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise ValueError(f"it must return latents of shape {tuple(self.x.shape)}, not {got}.")
        return finite(x.detach().float(), "its latents")

    def pictures(self, sd, x: Tensor) -> Tensor:
        """Latents at the last level, in this round's frame -> pictures (N, 3, H, W) in [-1, 1]."""
        scale = float((1 + self.levels[-1] ** 2).rsqrt())  # the pipeline's last latents have this scale
        with torch.no_grad():
            return sd.decode(scale * self.frame.back(x)).clamp(-1, 1)


@typed
def rounds(
    n: int, generator: torch.Generator, levels: Tensor, size: int = 8, shape: tuple = (4, 12, 12)
) -> list[Round]:
    """n rounds with prompts, starts of `size` particles and frames drawn from a generator."""
    scale = (1 + levels[0] ** 2).sqrt().float()

    def one(prompt: str) -> Round:
        x = scale * torch.randn(size, *shape, generator=generator)
        return Round(prompt, x, levels, hidden_frame(generator, shape[0]))

    return [one(prompt) for prompt in hidden_prompts(n, generator)]
