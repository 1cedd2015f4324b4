"""How exercises call a loss that something is trained with: a number without a gradient has the right value too.

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
