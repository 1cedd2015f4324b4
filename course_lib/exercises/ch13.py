"""Chapter 13, manifold constraints on pictures: reference answers, inputs, anticipated wrong answers, and the quiz."""

import torch
import torch.nn.functional as F

from course_lib import constraints, penalties, training, unet
from course_lib.denoisers import cfg
from course_lib.exercises.declare import Exercise, Question, Wrong, any_order
from course_lib.exercises.draws import normal, real, whole
from course_lib.samplers import sample
from course_lib.training import average

NORMALISED = "from course_lib.unet import normalised"
FUNCTIONAL = "import torch.nn.functional as F"

# 13.1 a residual block


def residual(h, e, first, second, P):
    """Block (13.2), (N, C, H, W), (N, E) -> (N, C, H, W): the library's own."""
    return unet.residual(h, e, first, second, P)


def normal_groups(h):
    """Groups of four by mean and standard deviation, (N, C, H, W) -> the same."""
    parts = h.reshape(len(h), 4, -1)
    parts = (parts - parts.mean(2, keepdim=True)) / (parts.var(2, keepdim=True, unbiased=False) + 1e-5).sqrt()
    return parts.reshape(h.shape)


def bent(h):
    """Normalised, then bent: what each kernel meets."""
    return F.silu(normal_groups(h))


def blocked(first=bent, second=bent, code=lambda e: e, late=0.0):
    """A block with other things before its kernels, another code, or (late) its code behind the second norm."""

    def answer(h, e, a, b, P):
        told = (code(e) @ P.T)[..., None, None]
        inside = F.conv2d(first(h), a, padding=1) + (1 - late) * told
        return h + F.conv2d(F.silu(normal_groups(inside) + told) if late else second(inside), b, padding=1)

    return answer


def residual_plainly(h, e, first, second, P):
    inside = F.conv2d(bent(h), first, padding=1) + torch.einsum("ne,ce->nc", e, P)[..., None, None]
    return h + F.conv2d(bent(inside), second, padding=1)


def residual_by_matrices(h, e, first, second, P):
    def convolved(x, kernel):
        patches = F.unfold(x, 3, padding=1)  # (N, 9 C, H W)
        return (kernel.flatten(1) @ patches).reshape(x.shape)

    inside = convolved(F.silu(normal_groups(h)), first) + (P @ e.T).T.reshape(len(h), -1, 1, 1)
    return convolved(F.silu(normal_groups(inside)), second) + h


def block_drawn(g):
    """One to three pictures that are not square, with four to twelve channels and a code of another length."""
    N, C, E, H = whole(g, 1, 3), 4 * whole(g, 1, 3), whole(g, 2, 7), whole(g, 3, 5)
    W = H + (1 if H == 3 else -1) * whole(g, 1, 2) if H != 4 else 6
    kernels = (0.3 * normal(g, C, C, 3, 3), 0.3 * normal(g, C, C, 3, 3))
    return normal(g, N, C, H, W), normal(g, N, E), *kernels, normal(g, C, E)


def cut_off(fn, reference, names, inputs):
    """Which of the arguments no gradient, or another one than the reference's, reaches from an answer; "" for none."""
    with torch.enable_grad():
        mine, theirs = ([one.detach().clone().requires_grad_() for one in inputs] for _ in range(2))
        out, due = fn(*mine), reference(*theirs)
        wanted = torch.autograd.grad(due.square().sum(), theirs)
        if not out.requires_grad:
            return names[0]
        found = torch.autograd.grad(out.square().sum(), mine, allow_unused=True)
    fits = [f is not None and torch.allclose(f, w, rtol=1e-6) for f, w in zip(found, wanted)]
    return "" if all(fits) else names[fits.index(False)]


def block_trains(fn, inputs):
    """Everything in a block is trained, or leads to what is."""
    name = cut_off(fn, residual, ("h", "e", "first", "second", "P"), inputs)
    return name and f"The values are right, but not the gradient for `{name}`, and a block is trained: no detach."


RESIDUAL = Exercise(
    "13.1",
    "A residual block",
    points=3,
    difficulty=2,
    importance=5,
    minutes=12,
    equation="(13.2)",
    name="residual",
    reference=residual,
    inputs=block_drawn,
    draws=12,
    needs=(FUNCTIONAL, NORMALISED),
    right=[residual_plainly, residual_by_matrices, blocked()],
    properties=[block_trains],
    wrong=[
        Wrong(
            lambda h, e, a, b, P: residual_plainly(h, e, a, b, P) - h,
            "Your block forgets what came in: (13.2) adds h itself, which is what makes the block residual.",
        ),
        Wrong(
            lambda h, e, a, b, P: residual_plainly(h, 0 * e, a, b, P),
            "The code e does not enter your block, so the network knows neither the level nor the label.",
        ),
        Wrong(
            blocked(second=normal_groups),
            "A silu is missing before the second kernel: without it two convolutions in a row are one.",
        ),
        Wrong(
            blocked(first=normal_groups),
            "A silu is missing before the first kernel: (13.2) bends at both places.",
        ),
        Wrong(
            blocked(second=F.silu),
            "The second kernel meets numbers that are not normalised.",
        ),
        Wrong(
            blocked(first=F.silu),
            "The first kernel meets numbers that are not normalised.",
        ),
        Wrong(
            blocked(*[lambda h: normal_groups(F.silu(h))] * 2),
            "You bend first and normalise then: in (13.2) silu is taken of what norm returns.",
        ),
        Wrong(
            blocked(*[lambda h: F.relu(normal_groups(h))] * 2),
            "You bend with relu: (13.2) has silu, z / (1 + exp(-z)).",
        ),
        Wrong(
            blocked(code=F.silu),
            "You bend the code e as well: P multiplies e as it comes.",
        ),
        Wrong(
            blocked(code=lambda e: e[:1].expand_as(e)),
            "All pictures get the first one's code: each row of e belongs to a picture of its own.",
        ),
        Wrong(
            blocked(late=1.0),
            "You added P e behind the second norm: it stands inside, so that the norm sees it.",
        ),
        Wrong(
            lambda h, e, a, b, P: residual_plainly(h, e, a, a, P),
            "You used K_1 twice: the second kernel is K_2.",
        ),
        Wrong(
            lambda h, e, a, b, P: residual_plainly(h, e, b, a, P),
            "The two kernels are exchanged: K_1 comes first.",
        ),
        Wrong(
            lambda h, e, a, b, P: residual_plainly(h, e, a, b, P) + (e @ P.T)[..., None, None],
            "You added P e a second time, behind the block: it belongs between the two kernels.",
        ),
        Wrong(
            lambda h, e, a, b, P: normal_groups(h) + residual_plainly(h, e, a, b, P) - h,
            "You add the normalised h: the way past the block must leave h as it is.",
        ),
        Wrong(
            lambda h, e, a, b, P: (
                residual_plainly(h + (e @ P.T)[..., None, None], 0 * e, a, b, P) - (e @ P.T)[..., None, None]
            ),
            "You added P e before the first kernel: it is added to what the first kernel returns.",
        ),
    ],
    home="course_lib.unet:residual",
)


# 13.2 the way up


def joined(h, skip):
    """Equation (13.3): the library's own."""
    return unet.joined(h, skip)


def joined_by_interpolation(h, skip):
    return torch.cat((F.interpolate(h, scale_factor=2, mode="nearest"), skip), dim=1)


def joined_by_loop(h, skip):
    N, C, H, W = h.shape
    out = h.new_zeros(N, C + skip.shape[1], 2 * H, 2 * W)
    for i in range(2 * H):
        for j in range(2 * W):
            out[:, :C, i, j] = h[:, :, i // 2, j // 2]
    out[:, C:] = skip
    return out


def twice(h):
    return h.repeat_interleave(2, 2).repeat_interleave(2, 3)


def pixel_mask(skip):
    """1 at the first pixel of each square of four, else 0."""
    mask = torch.zeros_like(skip[:1, :1])
    mask[..., ::2, ::2] = 1
    return mask


def pair_of_maps(g):
    """One to three pictures, not square; both maps have as many channels, so that they could be added."""
    N, C, H = whole(g, 1, 3), whole(g, 1, 4), whole(g, 2, 4)
    W = H + 1 if H < 4 else 2
    return normal(g, N, C, H, W), normal(g, N, C, 2 * H, 2 * W)


def joins_and_trains(fn, inputs):
    """With more channels in the skip, and with one only; and the gradient reaches both."""
    h, skip = inputs
    for K in (1, len(h[0]) + 2):
        other = torch.cat([skip] * 3, 1)[:, :K]
        if not torch.equal(fn(h, other), joined(h, other)):
            return "The values are right where both have as many channels: h has C and the skip K, which may differ."
    name = cut_off(fn, joined, ("h", "skip"), inputs)
    return (
        name and f"The values are right, but no gradient reaches `{name}`, and what lies below is trained: no detach."
    )


JOINED = Exercise(
    "13.2",
    "The way up",
    points=1,
    difficulty=1,
    importance=4,
    minutes=5,
    equation="(13.3)",
    name="joined",
    reference=joined,
    inputs=pair_of_maps,
    draws=8,
    right=[joined_by_interpolation, joined_by_loop],
    properties=[joins_and_trains],
    wrong=[
        Wrong(
            lambda h, skip: torch.cat([skip, twice(h)], 1),
            "The two parts are exchanged: h comes first, the channels kept on the way down behind it.",
        ),
        Wrong(
            lambda h, skip: torch.cat([h.repeat(1, 1, 2, 2), skip], 1),
            "You laid four copies of h side by side: each single pixel becomes a square of 2 x 2.",
        ),
        Wrong(
            lambda h, skip: twice(h) + skip, "You added the two: they are put behind each other, channel by channel."
        ),
        Wrong(
            lambda h, skip: torch.cat([twice(h), skip], 0),
            "You joined them along the batch: the channels are axis 1.",
        ),
        Wrong(
            lambda h, skip: torch.cat([h, F.avg_pool2d(skip, 2)], 1),
            "You made the skip small instead of h large: the way up ends at the size of the skip.",
        ),
        Wrong(
            lambda h, skip: torch.cat(
                [F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False), skip], 1
            ),
            "You interpolated between pixels: in (13.3) each pixel is repeated as it is.",
        ),
        Wrong(
            lambda h, skip: torch.cat([twice(h) * pixel_mask(skip), skip], 1),
            "You left zeros between the pixels of h: each of them fills its square of four.",
        ),
        Wrong(
            lambda h, skip: torch.cat([twice(h) / 4, skip], 1),
            "You share each pixel among its four: (13.3) repeats it as it is.",
        ),
    ],
    home="course_lib.unet:joined",
)


# 13.3 the loss of a batch


def batch_loss(D, x0, label, sigma, eps, dropped, none, sigma_data):
    """Loss (13.4) -> (): the library's own, with some labels dropped."""
    told = torch.where(dropped, none, label)
    return training.denoising_loss(lambda x, s: D(x, s, told), x0, sigma, eps, sigma_data)


def level_weight(sigma, sigma_data):
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def batch_loss_plainly(D, x0, label, sigma, eps, dropped, none, sigma_data):
    told = label.clone()
    told[dropped] = none
    error = D(x0 + sigma * eps, sigma, told) - x0
    return (level_weight(sigma, sigma_data) * error**2).mean()


def batch_loss_by_loop(D, x0, label, sigma, eps, dropped, none, sigma_data):
    total = 0.0
    for i in range(len(x0)):
        one = slice(i, i + 1)
        told = torch.full((1,), none) if dropped[i] else label[one]
        error = D(x=x0[one] + sigma[one] * eps[one], sigma=sigma[one], label=told) - x0[one]
        total = total + level_weight(float(sigma[i]), sigma_data) * error.square().mean()
    return total / len(x0)


def lossy(told=None, noisy=None, weight=level_weight, aim=None, gather=lambda x: x.mean(), size=torch.square):
    """A batch_loss with one part exchanged."""

    def answer(D, x0, label, sigma, eps, dropped, none, sigma_data):
        y = told(label, dropped, none) if told else torch.where(dropped, none, label)
        x = noisy(x0, sigma, eps) if noisy else x0 + sigma * eps
        error = D(x, sigma, y) - (aim(x0, x, eps) if aim else x0)
        return gather(weight(sigma, sigma_data) * size(error))

    return answer


def call_batch_loss(fn, x0, label, sigma, eps, dropped, none, sigma_data, a):
    """The loss and its gradient, for a denoiser with two weights that looks at x, at the level and at the label.

    It answers labels that are no whole numbers otherwise, where the network would stop.
    """
    weights = torch.ones(2, dtype=x0.dtype, requires_grad=True)

    def D(x, sigma, label=None):
        y = torch.full((len(x),), none) if label is None else label
        place = torch.cos(y.double() + 2.0 * y.is_floating_point())[:, None, None, None]
        return weights[0] * torch.tanh(a * x / (1 + sigma)) + 0.3 * weights[1] * place

    value = fn(D, x0, label, sigma, eps, dropped, none, sigma_data)
    if not (isinstance(value, torch.Tensor) and value.requires_grad):
        return {"loss": torch.as_tensor(value), "gradient": torch.zeros(2)}
    slope = torch.autograd.grad(value.sum(), weights, allow_unused=True, materialize_grads=True)[0]
    return {"loss": value, "gradient": slope}


def batch_inputs(g):
    """At least two labels that are dropped and two that are not, no two alike; one level is the lowest trained at."""
    N, none = whole(g, 5, 7), whole(g, 11, 14)
    dropped = torch.rand(N, generator=g) < 0.5
    dropped[:2], dropped[2:4] = True, False
    order, label = torch.randperm(N, generator=g), torch.randperm(10, generator=g)[:N]
    sigma = 0.2 + 2 * torch.rand(N, 1, 1, 1, generator=g).double()
    sigma[0] = 0.02
    pictures = normal(g, N, 1, 8, 8), normal(g, N, 1, 8, 8)
    return pictures[0], label, sigma, pictures[1], dropped[order], none, real(g, 0.3, 0.9), real(g, 0.5, 2)


LOSS = Exercise(
    "13.3",
    "The loss of a batch, some labels dropped",
    points=3,
    difficulty=3,
    importance=5,
    minutes=12,
    equation="(13.4)",
    name="batch_loss",
    reference=batch_loss,
    inputs=batch_inputs,
    call=call_batch_loss,
    beside=True,
    right=[batch_loss_plainly, batch_loss_by_loop],
    wrong=[
        Wrong(
            lossy(told=lambda y, dropped, none: y),
            "No label is dropped: where `dropped` is true the network must be told `none`, or it never learns D_u.",
        ),
        Wrong(
            lossy(told=lambda y, dropped, none: torch.where(dropped, y, none)),
            "You dropped the labels that were to be kept: torch.where(a, b, c) is b where a is true.",
        ),
        Wrong(
            lossy(told=lambda y, dropped, none: torch.where(dropped, 10, y)),
            "You wrote 10 for a dropped label: put the argument `none`, which is another number for other data.",
        ),
        Wrong(
            lossy(told=lambda y, dropped, none: torch.where(dropped, float(none), y.double())),
            "Your labels have become real numbers: keep whole ones, the network takes no others.",
        ),
        Wrong(
            lambda *inputs: batch_loss(*inputs).detach(),
            "No gradient flows from your loss: return the tensor itself, without .item(), float(), detach or no_grad.",
        ),
        Wrong(
            lossy(told=lambda y, dropped, none: torch.full_like(y, none)),
            "Every label is dropped: this network will never hear of a digit.",
        ),
        Wrong(
            lossy(told=lambda y, dropped, none: torch.where(dropped, 0, y)),
            "You put 0 for a dropped label, which is the digit 0: `none` is a label of its own.",
        ),
        Wrong(
            lossy(noisy=lambda x0, sigma, eps: x0 + eps),
            "The noise has standard deviation 1 at every level: multiply eps by sigma.",
        ),
        Wrong(
            lossy(noisy=lambda x0, sigma, eps: x0 + sigma**2 * eps),
            "You multiplied eps by sigma squared: sigma is a standard deviation, not a variance.",
        ),
        Wrong(
            lossy(noisy=lambda x0, sigma, eps: x0),
            "The network is shown the clean picture: add sigma eps to it.",
        ),
        Wrong(lossy(size=torch.abs), "You took the error's size: (13.4) squares it."),
        Wrong(
            lossy(aim=lambda x0, x, eps: x),
            "You compare the estimate with the noisy picture: the goal is the clean one, x0.",
        ),
        Wrong(
            lossy(aim=lambda x0, x, eps: eps),
            "You compare the estimate with the noise: D estimates the clean picture x0.",
        ),
        Wrong(
            lossy(weight=lambda sigma, sigma_data: torch.ones_like(sigma)),
            "The weight of the levels is missing: without it the high levels drown the low ones.",
        ),
        Wrong(
            lossy(weight=lambda sigma, sigma_data: 1 / level_weight(sigma, sigma_data)),
            "Your weight is upside down: errors at low noise are small and must be made large.",
        ),
        Wrong(lossy(gather=lambda x: x.sum()), "You summed: (13.4) is a mean over the batch and over the pixels."),
        Wrong(
            lossy(gather=lambda x: x.sum((1, 2, 3)).mean()),
            "You summed over the pixels: (13.4) is a mean over them as well as over the batch.",
        ),
        Wrong(
            lossy(weight=lambda sigma, sigma_data: level_weight(sigma, sigma_data) ** 0.5),
            "Your weight is the root of lambda: (13.4) multiplies the squared error by lambda itself.",
        ),
        Wrong(
            lossy(weight=lambda sigma, sigma_data: (sigma**2 + sigma_data**2) / (sigma * sigma_data)),
            "The product below the line is not squared: lambda divides by (sigma sigma_d)^2.",
        ),
        Wrong(
            lossy(weight=lambda sigma, sigma_data: (sigma + sigma_data) ** 2 / (sigma * sigma_data) ** 2),
            "You squared the sum: lambda has the sum of the squares above the line.",
        ),
    ],
    home="course_lib.training:denoising_loss",
)


# 13.4 the moving average


def moving_average(mean, now, decay, step):
    """Equation (13.5), lists of tensors -> list: the library's own."""
    return average.moving_average(mean, now, decay, step)


def kept_share(decay, step):
    return min(decay, (1 + step) / (10 + step))


def averaged(share, turn=False):
    """An average that keeps share(decay, step) of the old."""

    def answer(mean, now, decay, step):
        b = share(decay, step)
        pairs = zip(now, mean) if turn else zip(mean, now)
        return [b * old + (1 - b) * new for old, new in pairs]

    return answer


def average_by_loop(mean, now, decay, step):
    b, found = kept_share(decay, step), []
    for i in range(len(mean)):
        found.append(torch.lerp(now[i], mean[i], b))
    return found


def call_average(fn, mean, now, decay, step):
    """Early, and late in a training."""
    return tuple(fn(mean, now, decay, step)) + tuple(fn(mean, now, decay, step + 100_000))


AVERAGE = Exercise(
    "13.4",
    "A moving average that starts fast",
    points=2,
    difficulty=2,
    importance=4,
    minutes=8,
    equation="(13.5)",
    name="moving_average",
    reference=moving_average,
    inputs=lambda g: (
        [normal(g, 2, 3), normal(g, 4)],
        [normal(g, 2, 3), normal(g, 4)],
        real(g, 0.95, 0.995),
        whole(g, 0, 40),
    ),
    call=call_average,
    right=[averaged(kept_share), average_by_loop],
    wrong=[
        Wrong(
            averaged(lambda decay, step: decay),
            "Your average starts slowly: b is the smaller of decay and (1 + step) / (10 + step).",
        ),
        Wrong(
            averaged(lambda decay, step: max(decay, (1 + step) / (10 + step))),
            "You took the larger of the two: then the first, random weights stay in the average for ever.",
        ),
        Wrong(
            averaged(kept_share, turn=True),
            "Old and new are exchanged: b is the share of the average that is kept.",
        ),
        Wrong(
            averaged(lambda decay, step: (1 + step) / (10 + step)),
            "decay does not enter: late in the training your average would hardly move at all.",
        ),
        Wrong(
            averaged(lambda decay, step: 0.5),
            "You take the plain mean of old and new, which forgets everything within a few steps.",
        ),
        Wrong(
            averaged(lambda decay, step: min(decay, step / (10 + step))),
            "A 1 is missing above the line: the second term is (1 + step) / (10 + step).",
        ),
        Wrong(
            averaged(lambda decay, step: decay * (1 + step) / (10 + step)),
            "You multiplied the two terms: b is the smaller of them.",
        ),
        Wrong(lambda mean, now, decay, step: list(mean), "Your average never moves: the new weights do not enter."),
    ],
    home="course_lib.training.average:moving_average",
)


# 13.5 one step of training


def train_step(net, mean, loss, optimiser, decay, step):
    """Down the gradient once, then the average: the library's own average."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    average.average_into(mean, net, decay, step)
    return loss.item()


def in_place(mean, net, decay, step, share=kept_share):
    b = share(decay, step)
    with torch.no_grad():
        for m, new in zip(mean.parameters(), net.parameters()):
            m.mul_(b).add_((1 - b) * new)


def train_step_in_place(net, mean, loss, optimiser, decay, step):
    net.zero_grad()
    loss.backward()
    optimiser.step()
    in_place(mean, net, decay, step)
    return float(loss)


def train_step_by_state(net, mean, loss, optimiser, decay, step):
    for p in net.parameters():
        p.grad = None
    loss.backward()
    optimiser.step()
    b, old = kept_share(decay, step), mean.state_dict()
    mean.load_state_dict({k: b * old[k] + (1 - b) * v for k, v in net.state_dict().items()})
    return loss.detach().item()


def by_hand(net, optimiser):
    """A plain step down the gradients, whatever the optimiser."""
    for p in net.parameters():
        p.data -= optimiser.param_groups[0]["lr"] * p.grad


def by_a_new_one(net, optimiser):
    """A step of an optimiser of the same kind that has seen nothing yet."""
    type(optimiser)(net.parameters(), lr=optimiser.param_groups[0]["lr"]).step()


def stepping(*order, share=kept_share, down=None, told=lambda loss: loss.item()):
    """A step whose parts come in an order: zero, back, down, mean, turned, copy, whole."""

    def answer(net, mean, loss, optimiser, decay, step):
        for part in order:
            if part == "zero":
                optimiser.zero_grad()
            if part == "back":
                loss.backward()
            if part == "down":
                down(net, optimiser) if down else optimiser.step()
            if part == "mean":
                in_place(mean, net, decay, step, share)
            if part == "turned":
                in_place(net, mean, decay, step)
            if part == "copy":
                net.load_state_dict(mean.state_dict())
            if part == "whole":
                mean.load_state_dict(net.state_dict())
        return told(loss)

    return answer


def call_step(fn, weight, other, x, momentum, decay, step):
    """Two networks of one layer after three steps, and the losses; momentum 0 stands for Adam."""
    net, mean = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    for one, numbers in ((net, weight), (mean, other)):
        one.weight.data, one.bias.data = numbers[:, :3].clone(), numbers[:, 3].clone()
    plain = torch.optim.SGD(net.parameters(), 0.05, momentum=momentum)
    optimiser = plain if momentum else torch.optim.Adam(net.parameters(), 0.05)
    losses = [fn(net, mean, (net(x) - 1).square().mean(), optimiser, decay, step + 20 * i) for i in range(3)]
    return {
        "loss": torch.tensor([float(one) for one in losses]),
        "loss is a plain number": all(isinstance(one, int | float) for one in losses),
        **{f"net {name}": p.detach().clone() for name, p in net.named_parameters()},
        **{f"mean {name}": p.detach().clone() for name, p in mean.named_parameters()},
    }


def step_inputs(g):
    """Weights of two networks, pictures, momentum or 0, and a decay that is reached after the first of three steps."""
    momentum = real(g, 0.5, 0.9) * whole(g, 0, 1)
    return normal(g, 2, 4), normal(g, 2, 4), normal(g, 4, 3), momentum, real(g, 0.55, 0.65), whole(g, 1, 9)


STEP = Exercise(
    "13.5",
    "One step of training",
    points=2,
    difficulty=2,
    importance=5,
    minutes=10,
    equation="(13.5)",
    name="train_step",
    reference=train_step,
    inputs=step_inputs,
    draws=8,
    call=call_step,
    beside=True,
    needs=("from course_lib.training.average import moving_average",),
    right=[train_step_in_place, train_step_by_state],
    tolerance=1e-6,
    wrong=[
        Wrong(
            stepping("back", "down", "mean"),
            "Gradients pile up: set them to zero before loss.backward(), or each step adds the last ones again.",
        ),
        Wrong(
            stepping("zero", "back", "mean", "down"),
            "The average is taken before the step: it lags one step behind; go down first.",
        ),
        Wrong(
            stepping("zero", "back", "down"),
            "`mean` never changes: average the new weights into it after the step.",
        ),
        Wrong(
            stepping("zero", "back", "down", "turned"),
            "net and mean are exchanged: the average is written into mean, and net is only read for it.",
        ),
        Wrong(
            stepping("zero", "back", "down", "mean", "copy"),
            "You copied the average back into net: training goes on with its own weights, the average only watches.",
        ),
        Wrong(
            stepping("zero", "back", "down", "whole"),
            "You copied the weights whole: mean must keep a share b of what it was, by (13.5).",
        ),
        Wrong(
            stepping("zero", "back", "mean"),
            "The weights never move: optimiser.step() is missing, or it finds no gradients, which backward() makes and "
            "zero_grad() takes away.",
        ),
        Wrong(
            stepping("zero", "back", "down", "mean", told=lambda loss: loss.detach()),
            "Your loss is no plain number: loss.item() is one, and a list of such numbers holds no graphs.",
        ),
        Wrong(
            stepping("zero", "back", "down", "mean", down=by_hand),
            "These are plain gradient steps: `optimiser` has its own rule, so let its step() move the weights.",
        ),
        Wrong(
            stepping("zero", "back", "down", "mean", down=by_a_new_one),
            "Your optimiser is new in every step and remembers nothing: use the one that was handed over.",
        ),
        Wrong(
            stepping("zero", "back", "down", "mean", share=lambda decay, step: 1 - kept_share(decay, step)),
            "Old and new are exchanged in the average: the first list is that of `mean`, the second that of `net`.",
        ),
        Wrong(
            stepping("zero", "back", "down", "mean", share=lambda decay, step: kept_share(decay, step + 1)),
            "Your average counts one step too many: hand `step` over as it is.",
        ),
        Wrong(
            stepping("zero", "back", "down", "mean", share=lambda decay, step: decay),
            "Your average starts slowly: let `moving_average` choose the share from decay and step.",
        ),
    ],
    home="course_lib.training.average:average_into",
)


# 13.6 generation


def generate(D, label, w, noise, levels):
    """Samples with guidance: the library's own loop."""
    return sample(cfg(lambda x, sigma: D(x, sigma, label), D, w), levels[0] * noise, levels)


def drawing(mix=None, start=None, step=None, ratio=None, ladder=None, asked=None, at=None):
    """A generate with one part exchanged."""

    def answer(D, label, w, noise, levels):
        x = start(noise, levels) if start else levels[0] * noise
        rungs = ladder(levels) if ladder else levels
        for sigma, after in zip(rungs[:-1], rungs[1:]):
            level = after if at else sigma
            c, u = D(x, level, asked(label) if asked else label), D(x, level)
            x0 = mix(c, u, w) if mix else u + w * (c - u)
            kept = (ratio(sigma, after) if ratio else after / sigma) * (x - x0)
            x = step(x, x0, sigma, after, noise) if step else x0 + kept
        return x

    return answer


def generate_by_noise(D, label, w, noise, levels):
    x = noise * levels[0]
    for i in range(len(levels) - 1):
        x0 = w * D(x, sigma=levels[i], label=label) + (1 - w) * D(x, sigma=levels[i])
        eps = (x - x0) / levels[i]
        x = x + (levels[i + 1] - levels[i]) * eps
    return x


def call_generate(fn, label, w, noise, levels, a):
    """Samples from a denoiser with a place for each label, and one between them for none."""

    def D(x, sigma, label=None):
        place = torch.zeros(len(x)).double() if label is None else torch.sin(1.0 + label.double())
        return (a * x + sigma**2 * place[:, None, None, None]) / (a + sigma**2)

    return fn(D, label, w, noise, levels)


def falling(g, T):
    """T levels that fall, then 0."""
    return torch.cat([torch.cumsum(0.2 + torch.rand(T, generator=g).double(), 0).flip(0), torch.zeros(1).double()])


def generate_inputs(g):
    """One to four labels, pictures of one to three channels that are not square, w from 0 on, a few levels or many."""
    N, C, H, T = whole(g, 1, 4), whole(g, 1, 3), whole(g, 2, 3), (1, 2, 5, 25)[whole(g, 0, 3)]
    w = (0.0, real(g, 0.1, 0.4), real(g, 1.4, 3), real(g, 4, 8))[whole(g, 0, 3)]
    return torch.randperm(10, generator=g)[:N], w, normal(g, N, C, H, 5 - H), falling(g, T), real(g, 0.3, 0.8)


GENERATE = Exercise(
    "13.6",
    "From noise to the digit that was asked for",
    points=3,
    difficulty=3,
    importance=5,
    minutes=12,
    equation="(1.6), (2.5)",
    name="generate",
    reference=generate,
    inputs=generate_inputs,
    draws=16,
    call=call_generate,
    right=[drawing(), generate_by_noise],
    wrong=[
        Wrong(
            drawing(mix=lambda c, u, w: c + w * (c - u)),
            "Your w is one too large: guidance starts from D_u, so that w = 1 is none.",
        ),
        Wrong(drawing(mix=lambda c, u, w: c), "w does not enter: that is the conditional denoiser without guidance."),
        Wrong(
            drawing(mix=lambda c, u, w: w * u + (1 - w) * c),
            "The two denoisers are exchanged: you push away from the digit that was asked for.",
        ),
        Wrong(
            drawing(start=lambda noise, levels: noise),
            "You start at level 1: noise has standard deviation 1, and the first level is levels[0].",
        ),
        Wrong(
            drawing(ladder=lambda levels: levels[:-1]),
            "You stop one level early: the last step goes to levels[-1], which is 0.",
        ),
        Wrong(
            drawing(ladder=lambda levels: levels[1:]),
            "You leave out the first step: the network is asked at levels[0] as well, where the walk starts.",
        ),
        Wrong(
            drawing(at="next"),
            "You ask the network at the next level: x is as noisy as the level it is at.",
        ),
        Wrong(
            drawing(ratio=lambda sigma, after: after),
            "You multiply the noise by the next level alone: the ratio sigma' / sigma is due.",
        ),
        Wrong(
            drawing(ratio=lambda sigma, after: sigma / after),
            "Your ratio is upside down, and divides by 0 at the end: the noise shrinks by sigma' / sigma.",
        ),
        Wrong(
            drawing(step=lambda x, x0, sigma, after, noise: x + (sigma - after) * (x - x0) / sigma),
            "Your step goes away from the estimate: its sign is turned.",
        ),
        Wrong(
            drawing(step=lambda x, x0, sigma, after, noise: x0 + after * noise),
            "You add the first noise again: what is left of the noise in x is x - x0.",
        ),
        Wrong(
            drawing(ratio=lambda sigma, after: 0.0),
            "You drop all noise at once: after a step sigma' / sigma of it is left.",
        ),
        Wrong(
            drawing(ratio=lambda sigma, after: 1 - after / sigma),
            "You keep the share of the noise that should go: after a step the noise is after / sigma of what it was.",
        ),
        Wrong(
            drawing(asked=lambda label: label[:1].expand(len(label))),
            "All your pictures show the first label: each particle has its own.",
        ),
        Wrong(
            lambda D, label, w, noise, levels: generate(
                lambda x, sigma, label=None: D(x, sigma, torch.full((len(x),), 10) if label is None else label),
                label,
                w,
                noise,
                levels,
            ),
            "You asked for D_u with a label of your own: here D(x, sigma), without any label, is D_u.",
        ),
    ],
    home="course_lib.samplers:sample",
)


# 13.7 distance by fitting


def fitted(picture, draw, starts, steps, lr):
    """Equation (13.7): from each start downhill, the least distance at the end -> ()."""
    f = starts.clone()
    for _ in range(steps):
        f = f.detach().requires_grad_()
        f = f - lr * torch.autograd.grad((draw(f) - picture).square().sum(), f)[0]
    return (draw(f) - picture).norm(dim=1).min().detach()


def fitted_by_optimiser(picture, draw, starts, steps, lr):
    f = torch.nn.Parameter(starts.clone())
    optimiser = torch.optim.SGD([f], lr)
    for _ in range(steps):
        optimiser.zero_grad()
        ((draw(f) - picture) ** 2).sum().backward()
        optimiser.step()
    return (draw(f) - picture).square().sum(1).sqrt().min().detach()


def fitted_one_by_one(picture, draw, starts, steps, lr):
    found = []
    for start in starts:
        f = start[None].clone()
        for _ in range(steps):
            f = f.detach().requires_grad_()
            (draw(f) - picture).square().sum().backward()
            f = f - lr * f.grad
        found.append((draw(f) - picture).norm().item())
    return min(found)


def fitting(end=None, sign=1, loss=None, chosen=None, more=0, momentum=0.0):
    """A fit with one part exchanged."""

    def answer(picture, draw, starts, steps, lr):
        f, push = (chosen(picture, draw, starts) if chosen else starts).clone(), 0.0
        for _ in range(steps + more):
            f = f.detach().requires_grad_()
            away = draw(f) - picture
            value = loss(away) if loss else away.square().sum()
            push = momentum * push + torch.autograd.grad(value, f)[0]
            f = f - sign * lr * push
        away = (draw(f) - picture).detach()
        return end(away) if end else away.norm(dim=1).min()

    return answer


def nearest_start(picture, draw, starts):
    index = (draw(starts) - picture).norm(dim=1).argmin()
    return starts[index : index + 1]


def best_on_the_way(picture, draw, starts, steps, lr):
    return min(fitted(picture, draw, starts, n, lr) for n in range(steps + 1))


def call_fitted(fn, picture, starts, A, phase, steps, lr):
    """The distance from waves with these factors, and that of the first start before any step."""

    def draw(f):
        return torch.cos(f @ A + phase)

    return {"distance": fn(picture, draw, starts, steps, lr), "without a step": fn(picture, draw, starts[:1], 0, lr)}


def telling(away):
    """Which searches, distances (steps + 1, n, starts), tell rules apart, (n,).

    The start that ends nearest is not the nearest at first, and neither it nor the one that ends farthest is the first
    or the last; the nearest at first ends behind where the second began, is nearer than all are at the end, and
    something is nearer still on the way.
    """
    first, end = away[0], away[-1]
    (two, order), nearest, farthest, last = first.sort(-1)[:2], end.argmin(-1), end.argmax(-1), end.shape[-1] - 1
    inside = (nearest > 0) & (nearest < last) & (nearest != order[:, 0]) & (farthest > 0) & (farthest < last)
    behind = end.gather(1, order[:, :1])[:, 0] > 1.01 * two[:, 1]
    on_the_way = (away.amin((0, 2)) < 0.99 * two[:, 0]) & (two[:, 0] < 0.99 * end.amin(-1))
    return inside & behind & on_the_way & (end.sort(-1).values[:, 1] > 1.01 * end.amin(-1))


def walked(picture, draw, f, steps, lr):
    """Distances on the walks from some starts, (steps + 1, starts)."""
    away = []
    for _ in range(steps + 1):
        f = f.detach().requires_grad_()
        off = draw(f) - picture
        away.append(off.detach().norm(dim=1))
        f = f - lr * torch.autograd.grad(off.square().sum(), f)[0]
    return torch.stack(away)


def fit_inputs(g):
    """Four to six starts of many, so chosen that they tell."""
    while True:
        k, d, steps, lr = whole(g, 1, 3), whole(g, 6, 9), whole(g, 2, 4), real(g, 0.1, 0.4)
        A, phase, starts = normal(g, k, d), 6 * normal(g, d), normal(g, 40, k)
        picture = torch.cos(normal(g, k) @ A + phase) + 0.1 * normal(g, d)
        away = walked(picture, lambda f: torch.cos(f @ A + phase), starts, steps, lr)  # noqa: B023
        some = torch.rand(300, 40, generator=g).argsort(1)[:, : whole(g, 4, 6)]
        fine = telling(away[:, some]).nonzero()
        if len(fine):
            return picture, starts[some[fine[0, 0]]], A, phase, steps, lr


def starts_stay(fn, inputs):
    """The caller's starts must not begin to require a gradient."""
    starts = inputs[1]
    call_fitted(fn, *inputs)
    if starts.requires_grad:
        return "You called requires_grad_() on the starts that you were given: work on a copy, starts.detach()."
    return None


FIT = Exercise(
    "13.7",
    "Distance to the manifold, by drawing",
    points=3,
    difficulty=3,
    importance=4,
    minutes=13,
    equation="(13.7)",
    name="fitted",
    reference=fitted,
    inputs=fit_inputs,
    call=call_fitted,
    properties=[starts_stay],
    right=[fitted_by_optimiser, fitted_one_by_one],
    may_pass=any_order("starts", "draw"),
    wrong=[
        Wrong(fitting(sign=-1), "You go uphill: the step is minus lr times the gradient."),
        Wrong(
            fitting(momentum=1.0),
            "Gradients pile up over the steps: each step uses its own gradient alone.",
        ),
        Wrong(
            fitting(end=lambda away: away.square().sum(1).min()),
            "That is the squared distance: take the root at the end.",
        ),
        Wrong(
            fitting(end=lambda away: away.norm(dim=1).mean()),
            "You averaged over the starts: the nearest drawing counts, so take the least.",
        ),
        Wrong(
            fitting(end=lambda away: away.norm(dim=1).max()),
            "You took the largest distance: the nearest drawing counts, so take the least of them.",
        ),
        Wrong(
            fitting(end=lambda away: away.square().mean(1).sqrt().min()),
            "You averaged over the pixels: the length of a picture is the root of the sum of its squares.",
        ),
        Wrong(
            fitting(end=lambda away: away.norm(dim=1)[0]),
            "You kept the first start only: another may have come nearer.",
        ),
        Wrong(
            fitting(end=lambda away: away.norm(dim=1)[-1]),
            "You kept the last start only: another may have come nearer.",
        ),
        Wrong(
            fitting(chosen=nearest_start),
            "You walk only from the start that is nearest before the walk: one that is farther may end nearer.",
        ),
        Wrong(
            fitting(loss=lambda away: away.square().sum(1).min()),
            "Only the nearest start moves in each of your steps: walk from each of them.",
        ),
        Wrong(
            best_on_the_way,
            "You keep the least distance on the way: the ends of the walks are asked for.",
        ),
        Wrong(
            fitting(loss=lambda away: away.square().mean()),
            "Your gradient shrinks with the number of pixels: sum the squares, do not average them.",
        ),
        Wrong(
            fitting(loss=lambda away: away.norm(dim=1).sum()),
            "Your gradient is that of the distance: the step of (13.7) takes that of its square.",
        ),
        Wrong(
            fitting(loss=lambda away: away.square().sum() / 2),
            "Your gradient is halved: (13.7) goes down the squared distance, without a 1/2.",
        ),
        Wrong(
            fitting(loss=lambda away: away.square().sum(1).mean()),
            "Your gradient shrinks with the number of starts: sum over them, each start has a walk of its own.",
        ),
        Wrong(fitting(more=-1), "You take one step too few."),
        Wrong(fitting(more=1), "You take one step too many."),
        Wrong(
            lambda picture, draw, starts, steps, lr: (draw(starts) - picture).norm(dim=1).min(),
            "The distances of the starts before their walks count in yours: go downhill, and look at the ends alone.",
        ),
    ],
)


# 13.8 the constraint term


def constraint(estimate, sigma, project, lam, gate):
    """Term (13.8) -> (): the library's residual, with a gate."""
    residual = penalties.denoiser_residual(estimate, lambda x, level: project(x), 1.0) / estimate[0].numel()
    return lam * ((sigma.flatten() < gate) * residual).mean()


def constraint_plainly(estimate, sigma, project, lam, gate):
    with torch.no_grad():
        goal = project(estimate)
    return lam * ((sigma < gate) * (estimate - goal) ** 2).mean()


def constraint_by_loop(estimate, sigma, project, lam, gate):
    total, goal = 0.0, project(estimate).detach()
    for i in range(len(estimate)):
        if float(sigma[i]) < gate:
            total = total + (estimate[i] - goal[i]).square().mean()
    return lam * total / len(estimate)


def constrained(goal=None, is_open=None, size=lambda x: x.square(), gather=lambda x: x.mean(), scale=None):
    """A constraint with one part exchanged."""

    def answer(estimate, sigma, project, lam, gate):
        target = goal(estimate, project) if goal else project(estimate).detach()
        gated = is_open(sigma, gate) if is_open else sigma < gate
        return (scale(lam, gated) if scale else lam) * gather(gated * size(estimate - target))

    return answer


def call_constraint(fn, estimate, sigma, A, phase, lam, gate):
    """The term and its gradient, for a bent projector that leaves no picture where it is, the empty one neither."""

    def project(x):
        return torch.tanh(x.flatten(1) @ A + phase).reshape(x.shape)

    estimate = estimate.clone().requires_grad_()
    value = fn(estimate, sigma, project, lam, gate)
    if not (isinstance(value, torch.Tensor) and value.requires_grad):
        return {"term": torch.as_tensor(value), "gradient": torch.zeros_like(estimate)}
    slope = torch.autograd.grad(value.sum(), estimate, allow_unused=True, materialize_grads=True)[0]
    return {"term": value, "gradient": slope}


def constraint_inputs(g):
    """One picture behind an open gate, or several: some open, one just so, one at the gate itself, some shut."""
    gate, C, H = real(g, 0.7, 3), whole(g, 1, 3), whole(g, 2, 3)
    share = torch.tensor([0.9])
    if whole(g, 0, 3):
        share = torch.cat([torch.tensor([0.9, 0.2, 1.0, 1.7]), 2 * torch.rand(whole(g, 0, 3), generator=g)])
        share = share[torch.randperm(len(share), generator=g)]
    sigma, d = gate * share.double(), C * H * (5 - H)
    estimate = normal(g, len(sigma), C, H, 5 - H)
    return estimate, sigma[:, None, None, None], normal(g, d, d) / d**0.5, normal(g, d), real(g, 1.5, 9), gate


def shut_is_zero(fn, inputs):
    """Where every gate is shut the term is 0, and so is its gradient."""
    found = call_constraint(fn, *inputs[:-1], 0.0)
    if any(float(part.abs().max()) != 0.0 for part in found.values()):
        return "Where every gate is shut your term or its gradient is NaN or not 0: average over the whole batch."
    return None


CONSTRAINT = Exercise(
    "13.8",
    "The constraint term",
    points=3,
    difficulty=3,
    importance=5,
    minutes=10,
    equation="(13.8)",
    name="constraint",
    reference=constraint,
    inputs=constraint_inputs,
    draws=8,
    call=call_constraint,
    properties=[shut_is_zero],
    right=[constraint_plainly, constraint_by_loop],
    wrong=[
        Wrong(
            constrained(is_open=lambda sigma, gate: torch.ones_like(sigma)),
            "Your term acts at every level: at high noise the right estimate lies off the manifold.",
        ),
        Wrong(
            constrained(is_open=lambda sigma, gate: sigma >= gate),
            "Your gate is open at high noise and shut at low noise: turn it round.",
        ),
        Wrong(
            constrained(is_open=lambda sigma, gate: sigma > gate),
            "Your comparison is turned: the gate is open where sigma lies below it.",
        ),
        Wrong(
            constrained(goal=lambda estimate, project: project(estimate)),
            "The gradient passes through the projector as well: hold its answer fixed, as sg says.",
        ),
        Wrong(
            lambda estimate, sigma, project, lam, gate: (
                lam * ((sigma < gate) * (estimate.detach() - project(estimate)) ** 2).mean()
            ),
            "You hold the estimate fixed and let the projector move: it is the estimate that has to learn.",
        ),
        Wrong(
            lambda estimate, sigma, project, lam, gate: (
                lam * ((sigma < gate) * (estimate.detach() - project(estimate).detach()) ** 2).mean()
            ),
            "No gradient reaches the estimate: return a tensor, no .item(), and hold only P's answer fixed.",
        ),
        Wrong(
            constrained(is_open=lambda sigma, gate: sigma <= gate),
            "Your gate is open at its own level: (13.8) has sigma < gate, not <=.",
        ),
        Wrong(
            constrained(is_open=lambda sigma, gate: sigma < 0.5),
            "Your gate stands at .5 whatever is asked for: compare sigma with the argument `gate`.",
        ),
        Wrong(
            constrained(is_open=lambda sigma, gate: (sigma < gate).all()),
            "Your gate is one for the whole batch: each picture has its own level.",
        ),
        Wrong(
            constrained(is_open=lambda sigma, gate: (sigma < gate).float().mean()),
            "You multiply two means, of the gate and of the residual: take the mean of their product.",
        ),
        Wrong(
            lambda estimate, sigma, project, lam, gate: constraint(
                (sigma < gate) * estimate, sigma, lambda x: project((sigma < gate) * x), lam, torch.inf
            ),
            "You shut the gate before projecting, and P moves empty pictures too: multiply the residual by the gate.",
        ),
        Wrong(constrained(size=lambda x: x.abs()), "The residual is squared in (13.8), not taken by its size."),
        Wrong(
            constrained(scale=lambda lam, gated: lam * len(gated) / gated.sum()),
            "You divide by the number of open levels: (13.8) is a mean over the whole batch.",
        ),
        Wrong(
            lambda estimate, sigma, project, lam, gate: (
                lam * ((sigma < gate) * (estimate - project(estimate).detach()) ** 2).flatten(1).sum(1).sqrt().mean()
            ),
            "You took a root, whose gradient is NaN where the gate is shut: (13.8) is a mean of squares.",
        ),
        Wrong(constrained(scale=lambda lam, gated: lam**2), "You squared lam: it multiplies the term once."),
        Wrong(constrained(scale=lambda lam, gated: 1.0), "lam does not enter: it says how much the term weighs."),
        Wrong(
            constrained(gather=lambda x: x.sum()), "You summed: (13.8) is a mean over the batch and over the pixels."
        ),
        Wrong(
            constrained(gather=lambda x: x.flatten(1).sum(1).mean()),
            "You summed over the pixels: (13.8) is a mean over them as well as over the batch.",
        ),
    ],
    home="course_lib.penalties:denoiser_residual",
)


# 13.9 editing


def edited(D, y, known):
    """Denoiser (13.9): the library's own."""
    return constraints.edited(D, y, known)


def edited_by_product(D, y, known):
    return lambda x, sigma: known * y + ~known * D(x, sigma)


def edited_by_index(D, y, known):
    def denoiser(x, sigma):
        x0 = D(x, sigma).clone()
        x0[:, known] = y.expand_as(x0)[:, known]
        return x0

    return denoiser


def editing(change):
    """edited with another estimate change(D, y, known, x, sigma)."""
    return lambda D, y, known: lambda x, sigma: change(D, y, known, x, sigma)


def with_noise(D, y, known, x, sigma):
    return torch.where(known, y + sigma * torch.randn_like(x), D(x, sigma))


def remembering(D, y, known):
    """A denoiser that asks D once."""
    found = []

    def denoiser(x, sigma):
        found.append(found[0] if found else D(x, sigma))
        return torch.where(known, y, found[0])

    return denoiser


def call_edited(fn, x, y, known, sigma, a):
    """The new denoiser's estimates at two levels; a single 0 where a picture came back in place of a denoiser."""

    def D(x, sigma):
        return torch.tanh(x.cumsum(-1) / (a + sigma))

    denoiser = fn(D, y, known)
    if isinstance(denoiser, torch.Tensor):
        return torch.tensor(0.0)
    return {"first call": denoiser(x, sigma), "second call": denoiser(x.flip(0) - 1, sigma / 2)}


def editing_inputs(g):
    """One to three pictures that are not square; y is one picture or a batch, and 0 at some pixels that are kept."""
    N, C, H = whole(g, 1, 3), whole(g, 1, 3), whole(g, 3, 5)
    shape = (C, H, H + 1 if H < 5 else 3)
    y = normal(g, N, *shape) if whole(g, 0, 1) else normal(g, *shape)
    known = torch.rand(shape, generator=g) < 0.5
    known[:, 0], y[..., 0, 0] = torch.arange(shape[2]) % 2 == 0, 0.0
    return normal(g, N, *shape), y, known, real(g, 0.3, 2), real(g, 0.5, 1.5)


EDITED = Exercise(
    "13.9",
    "A denoiser that knows part of the picture",
    points=2,
    difficulty=2,
    importance=4,
    minutes=8,
    equation="(13.9)",
    name="edited",
    reference=edited,
    inputs=editing_inputs,
    draws=16,
    call=call_edited,
    right=[edited_by_product, edited_by_index],
    wrong=[
        Wrong(
            editing(lambda D, y, known, x, sigma: torch.where(known, D(x, sigma), y)),
            "You kept what was to be drawn anew: y stands where `known` is true.",
        ),
        Wrong(
            editing(lambda D, y, known, x, sigma: D(torch.where(known, y, x), sigma)),
            "You put y into the noisy x, and D was shown a clean half in a noisy picture: put y into the estimate.",
        ),
        Wrong(
            editing(lambda D, y, known, x, sigma: torch.where(known, y, D(torch.where(known, y, x), sigma))),
            "You put y into the noisy x as well: D is asked about x as it comes, and y enters the estimate alone.",
        ),
        Wrong(
            editing(lambda D, y, known, x, sigma: torch.where(known, x, D(x, sigma))),
            "You kept the noisy x where the picture is known: y stands there.",
        ),
        Wrong(
            editing(with_noise),
            "You added noise to y: the estimate is a clean picture, and the sampler sees to the noise.",
        ),
        Wrong(
            editing(lambda D, y, known, x, sigma: known * y + D(x, sigma)),
            "The factor 1 - m is missing: where y is known, D is left out.",
        ),
        Wrong(
            editing(lambda D, y, known, x, sigma: torch.where(known & (y != 0), y, D(x, sigma))),
            "You took the zeros of y for unknown: `known` alone says what is kept.",
        ),
        Wrong(
            editing(lambda D, y, known, x, sigma: torch.where(known[:1], y, D(x, sigma))),
            "You used the mask of the first channel for all: each has its own.",
        ),
        Wrong(
            editing(lambda D, y, known, x, sigma: torch.where(known, y[:1] if y.ndim == 4 else y, D(x, sigma))),
            "All pictures keep the first one's part: y may be a batch, a picture for each.",
        ),
        Wrong(
            remembering,
            "Your denoiser gives the answer of its first call again: ask D anew in each call.",
        ),
        Wrong(
            editing(lambda D, y, known, x, sigma: torch.where(known, y, x)),
            "D does not enter: the unknown part of your estimate is still the noisy x.",
        ),
        Wrong(
            editing(lambda D, y, known, x, sigma: torch.where(known, (y + D(x, sigma)) / 2, D(x, sigma))),
            "You took the mean of y and D: what is known needs no estimate.",
        ),
        Wrong(
            editing(lambda D, y, known, x, sigma: D(x, sigma)),
            "y does not enter your estimate: that is the old denoiser.",
        ),
        Wrong(
            lambda D, y, known: y,
            "You return a picture: a denoiser is due, a function of x and sigma.",
        ),
    ],
    home="course_lib.constraints:edited",
)


# 13.10 words

WORDS = Exercise(
    "13.10",
    "Advice for a collection of portraits",
    points=4,
    difficulty=3,
    importance=4,
    minutes=20,
    rubric="1 point: says which constraint, if any, belongs into the training, at which noise levels, and why not at "
    "all of them. 1 point: demands a control that can fail, and two numbers that are read together (distance or "
    "quality, and the share of a rare kind or the spread). 1 point: names what augmentation puts into the pictures, "
    "and the remedy. 1 point: separates what was measured here (8 x 8 digits, 12 x 12 shapes, small networks) from "
    "what portraits may do, and names a measurement that would settle it.",
)


EXERCISES = [RESIDUAL, JOINED, LOSS, AVERAGE, STEP, GENERATE, FIT, CONSTRAINT, EDITED, WORDS]

QUIZ = [
    Question(
        "The held-out loss lies flat and the training loss still falls. What do you look at before you stop?",
        [
            (
                "Samples, and how near they lie to training pictures compared with held-out ones",
                True,
                "A gap between the two losses says that the network learns the pictures themselves; samples say "
                "whether it already shows.",
            ),
            (
                "Nothing, a falling loss is progress",
                False,
                "On pictures it has seen. The held-out loss says otherwise.",
            ),
            ("The test part", False, "Whoever decides by the test part has no test part left."),
        ],
    ),
    Question(
        "You train without label dropout and then sample with w = 3. What is wrong?",
        [
            ("Nothing", False, "Guidance needs the unconditional denoiser as well."),
            (
                "The label for none was never trained, so D_u is an untrained embedding's answer",
                True,
                "The push w (D_c - D_u) then points away from something arbitrary.",
            ),
            ("w = 3 is too small", False, "The weight is not the trouble, what it multiplies is."),
        ],
    ),
    Question(
        "Why is the constraint term gated to low noise?",
        [
            ("To save time", False, "It saves a little, but that is not why."),
            (
                "At high noise the best estimate is a mean of many pictures, and lies off the manifold",
                True,
                "A penalty there moves the minimum of the loss, away from what is right.",
            ),
            ("At high noise the projector is exact", False, "It is an estimate at every level."),
        ],
    ),
    Question(
        "A UMAP map places a new picture inside the cluster of threes. What follows about its distance to the data?",
        [
            ("It lies on the manifold", False, "Pictures drowned in noise land on the clusters and at their rims too."),
            (
                "Little: the map is no ruler",
                True,
                "At noise .5 the distance in pixels grew by seven tenths, and that in the map by a seventh.",
            ),
            ("It is as long as in the map", False, "The map keeps neighbours, not lengths."),
        ],
    ),
]
