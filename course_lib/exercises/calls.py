"""How exercises call a loss that something is trained with: a number without a gradient has the right value too."""

import torch

# what a `call` raises for a loss that nothing can be trained with
NO_GRADIENT = "no gradient flows from your loss: return the tensor itself, without .item(), float(), detach or no_grad"


def call_trained(fn, *inputs):
    """The loss, or losses, of inputs each of which could be trained."""
    asked = [one.requires_grad_() if torch.is_tensor(one) and one.is_floating_point() else one for one in inputs]
    value = fn(*asked)
    for one in value if isinstance(value, tuple | list) else (value,):
        if not getattr(one, "requires_grad", False):
            raise TypeError(NO_GRADIENT)
    return value
