"""How exercises call an answer several times or train with it, and whether the particles of a set feel each other.

Functions here go along as text with a `call` that runs beside the learner's code (portable.py).
"""

import torch

NO_GRADIENT = "no gradient flows from your loss: return the tensor itself, without .item(), float(), detach or no_grad"


def trainable(value):
    """A loss, or several, as returned; raises TypeError for one that nothing can be trained with."""
    for one in value if isinstance(value, tuple | list) else (value,):
        if not getattr(one, "requires_grad", False):
            raise TypeError(NO_GRADIENT)
    return value


def call_trained(fn, *inputs):
    """The loss, or losses, of inputs each of which could be trained."""
    asked = [one.requires_grad_() if torch.is_tensor(one) and one.is_floating_point() else one for one in inputs]
    return trainable(fn(*asked))


def together(*answers):
    """What several calls returned, or None where one of them returned nothing, as the one call of a stub does."""
    return next((one for one in answers if one is None or one is ...), answers)


def feeling(pushed, one, two, sigmas):
    """Of a denoiser of two sets of particles, over all levels, the largest change in the first set's answer: by another
    second set; in the particle that feels it least, by another last particle; and by the order of the set."""
    leak, felt, numbered, size = 0.0, 0.0, 0.0, len(one)
    another = torch.cat([one[:-1], -one[-1:]])
    for sigma in sigmas[:-1]:
        both, beside, turned, changed = (
            pushed(torch.cat([first, second]), sigma)[:size]
            for first, second in ((one, two), (one, -two), (one.flip(0), two), (another, two))
        )
        leak = max(leak, (both - beside).abs().max().item())
        felt = max(felt, (both - changed)[:-1].flatten(1).abs().amax(1).min().item())
        numbered = max(numbered, (both - turned.flip(0)).abs().max().item())
    return leak, felt, numbered
