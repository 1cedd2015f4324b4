"""Chapter 13, manifold constraints on pictures: reference answers, inputs, anticipated wrong answers, and the quiz."""

import torch
import torch.nn.functional as F

from course_lib import constraints, penalties, training, unet
from course_lib.denoisers import cfg
from course_lib.exercises.calls import trainable
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


def inside_of(h, e, first, P):
    """What stands between the two kernels, before it is normalised."""
    return F.conv2d(F.silu(normal_groups(h)), first, padding=1) + torch.einsum("ne,ce->nc", e, P)[..., None, None]


def residual_plainly(h, e, first, second, P):
    return h + F.conv2d(F.silu(normal_groups(inside_of(h, e, first, P))), second, padding=1)


def residual_by_matrices(h, e, first, second, P):
    def convolved(x, kernel):
        patches = F.unfold(x, 3, padding=1)  # (N, 9 C, H W)
        return (kernel.flatten(1) @ patches).reshape(x.shape)

    inside = convolved(F.silu(normal_groups(h)), first) + (P @ e.T).T.reshape(len(h), -1, 1, 1)
    return convolved(F.silu(normal_groups(inside)), second) + h


def block_inputs(g):
    C, E = 8, 6
    kernels = (0.3 * normal(g, C, C, 3, 3), 0.3 * normal(g, C, C, 3, 3))
    return normal(g, whole(g, 2, 3), C, 4, 4), normal(g, 2, E)[:1].expand(3, E).clone(), *kernels, normal(g, C, E)


def block_drawn(g):
    h, _, first, second, P = block_inputs(g)
    return h, normal(g, len(h), P.shape[1]), first, second, P


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
    needs=(FUNCTIONAL, NORMALISED),
    right=[residual_plainly, residual_by_matrices],
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
            lambda h, e, a, b, P: h + F.conv2d(normal_groups(inside_of(h, e, a, P)), b, padding=1),
            "A silu is missing before the second kernel: without it two convolutions in a row are one.",
        ),
        Wrong(
            lambda h, e, a, b, P: h + F.conv2d(F.silu(inside_of(h, e, a, P)), b, padding=1),
            "The second kernel meets numbers that are not normalised.",
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
                h
                + F.conv2d(
                    F.silu(
                        normal_groups(F.conv2d(F.silu(normal_groups(h + (e @ P.T)[..., None, None])), a, padding=1))
                    ),
                    b,
                    padding=1,
                )
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


def pair_of_maps(g):
    H, C = whole(g, 2, 3), whole(g, 2, 4)
    return normal(g, 2, C, H, H), normal(g, 2, C, 2 * H, 2 * H)


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
    right=[joined_by_interpolation, joined_by_loop],
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
        error = D(x0[one] + sigma[one] * eps[one], sigma[one], told) - x0[one]
        total = total + level_weight(float(sigma[i]), sigma_data) * error.square().mean()
    return total / len(x0)


def lossy(told=None, noisy=None, weight=level_weight, aim=None, gather=lambda x: x.mean()):
    """A batch_loss with one part exchanged."""

    def answer(D, x0, label, sigma, eps, dropped, none, sigma_data):
        y = told(label, dropped, none) if told else torch.where(dropped, none, label)
        x = noisy(x0, sigma, eps) if noisy else x0 + sigma * eps
        error = D(x, sigma, y) - (aim(x0, x, eps) if aim else x0)
        return gather(weight(sigma, sigma_data) * error.square())

    return answer


def call_batch_loss(fn, x0, label, sigma, eps, dropped, sigma_data, a):
    """The loss of a denoiser that could be trained and looks at x, at the level and at the label."""
    trained = torch.ones((), dtype=x0.dtype, requires_grad=True)

    def D(x, s, y=None):
        y = torch.full((len(x),), 10) if y is None else y
        return trained * torch.tanh(a * x / (1 + s)) + 0.3 * torch.cos(y.double())[:, None, None, None]

    return trainable(fn(D, x0, label, sigma, eps, dropped, 10, sigma_data))


def batch_inputs(g):
    """At least two labels that are dropped and two that are not, and no two alike."""
    N = whole(g, 5, 7)
    dropped = torch.rand(N, generator=g) < 0.5
    dropped[:2], dropped[2:4] = True, False
    label = torch.randperm(10, generator=g)[:N]
    sigma = 0.2 + 2 * torch.rand(N, 1, 1, 1, generator=g).double()
    return normal(g, N, 1, 4, 4), label, sigma, normal(g, N, 1, 4, 4), dropped, real(g, 0.3, 0.9), real(g, 0.5, 2)


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
        whole(g, 2, 40),
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


def in_place(mean, net, decay, step):
    b = kept_share(decay, step)
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


def stepping(*order):
    """A step whose parts come in an order: zero, back, down, mean, turned, copy, whole."""

    def answer(net, mean, loss, optimiser, decay, step):
        for part in order:
            if part == "zero":
                optimiser.zero_grad()
            if part == "back":
                loss.backward()
            if part == "down":
                optimiser.step()
            if part == "mean":
                in_place(mean, net, decay, step)
            if part == "turned":
                in_place(net, mean, decay, step)
            if part == "copy":
                net.load_state_dict(mean.state_dict())
            if part == "whole":
                mean.load_state_dict(net.state_dict())
        return loss.item()

    return answer


def call_step(fn, weight, x, decay, step):
    """Two networks of one layer after three steps, and the losses."""
    net, mean = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    for one in (net, mean):
        one.weight.data, one.bias.data = weight.clone(), torch.zeros(2).double()
    optimiser = torch.optim.SGD(net.parameters(), 0.05)
    losses = []
    for i in range(3):
        losses.append(float(fn(net, mean, (net(x) - 1).square().mean(), optimiser, decay, step + 20 * i)))
    found = [p.detach().clone() for one in (net, mean) for p in one.parameters()]
    return (torch.tensor(losses), *found)


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
    inputs=lambda g: (normal(g, 2, 3), normal(g, 4, 3), real(g, 0.55, 0.65), whole(g, 1, 9)),
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
            "The weights never move: optimiser.step() is missing, or zero_grad() stands between it and the gradients.",
        ),
    ],
    home="course_lib.training.average:average_into",
)


# 13.6 generation


def generate(D, label, w, noise, levels):
    """Samples with guidance: the library's own loop."""
    return sample(cfg(lambda x, sigma: D(x, sigma, label), D, w), levels[0] * noise, levels)


def drawing(mix=None, start=None, ratio=None, last=None, asked=None):
    """A generate with one part exchanged."""

    def answer(D, label, w, noise, levels):
        x = start(noise, levels) if start else levels[0] * noise
        for sigma, after in list(zip(levels[:-1], levels[1:]))[:last]:
            c, u = D(x, sigma, asked(label) if asked else label), D(x, sigma)
            x0 = mix(c, u, w) if mix else u + w * (c - u)
            x = x0 + (ratio(sigma, after) if ratio else after / sigma) * (x - x0)
        return x

    return answer


def generate_by_noise(D, label, w, noise, levels):
    x = noise * levels[0]
    for i in range(len(levels) - 1):
        x0 = w * D(x, levels[i], label) + (1 - w) * D(x, levels[i])
        eps = (x - x0) / levels[i]
        x = x + (levels[i + 1] - levels[i]) * eps
    return x


def call_generate(fn, label, w, noise, levels, a):
    """Samples from a denoiser with a place for each label, and one between them for none."""

    def D(x, sigma, y=None):
        place = torch.zeros(len(x)).double() if y is None else torch.sin(1.0 + y.double())
        return (a * x + sigma**2 * place[:, None, None, None]) / (a + sigma**2)

    return fn(D, label, w, noise, levels)


def falling(g, T):
    """T levels that fall, then 0."""
    return torch.cat([torch.cumsum(0.2 + torch.rand(T, generator=g).double(), 0).flip(0), torch.zeros(1).double()])


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
    inputs=lambda g: (
        torch.randperm(10, generator=g)[:4],
        real(g, 1.4, 3),
        normal(g, 4, 1, 2, 2),
        falling(g, 5),
        real(g, 0.3, 0.8),
    ),
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
            drawing(last=-1),
            "You stop one level early: the last step goes to levels[-1], which is 0.",
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
                lambda x, sigma, y=None: D(x, sigma, torch.full((len(x),), 10) if y is None else y),
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


def fitting(end=None, sign=1, loss=None, first=None, fewer=0, momentum=0.0):
    """A fit with one part exchanged."""

    def answer(picture, draw, starts, steps, lr):
        f, push = starts[:first].clone(), 0.0
        for _ in range(steps - fewer):
            f = f.detach().requires_grad_()
            away = draw(f) - picture
            value = loss(away) if loss else away.square().sum()
            push = momentum * push + torch.autograd.grad(value, f)[0]
            f = f - sign * lr * push
        away = (draw(f) - picture).detach()
        return end(away) if end else away.norm(dim=1).min()

    return answer


def call_fitted(fn, place, off, starts, lr, width):
    """The distance of a soft dot that was moved off the dots that can be drawn."""
    pixel = torch.arange(6).double() / 5
    row, column = torch.meshgrid(pixel, pixel, indexing="ij")

    def draw(f):
        away = (row.flatten() - f[:, :1]) ** 2 + (column.flatten() - f[:, 1:]) ** 2
        return torch.exp(-away / width)

    return fn(draw(place)[0] + off, draw, starts, 3, lr)


def fit_inputs(g):
    """Three starts, the farthest first."""
    place, starts = 0.3 + 0.4 * torch.rand(1, 2, generator=g).double(), torch.rand(3, 2, generator=g).double()
    starts = starts[(starts - place).norm(dim=1).argsort(descending=True)]
    return place, 0.1 * normal(g, 36), starts, real(g, 0.003, 0.008), real(g, 0.15, 0.25)


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
            fitting(end=lambda away: away.norm(dim=1)[0]),
            "You kept the first start only: another may have come nearer.",
        ),
        Wrong(
            fitting(loss=lambda away: away.square().mean()),
            "Your gradient shrinks with the number of pixels and of starts: sum the squares, do not average them.",
        ),
        Wrong(
            fitting(loss=lambda away: away.norm(dim=1).sum()),
            "Your gradient is that of the distance: the step of (13.7) takes that of its square.",
        ),
        Wrong(fitting(fewer=1), "You take one step too few."),
        Wrong(
            lambda picture, draw, starts, steps, lr: (draw(starts) - picture).norm(dim=1).min(),
            "You only look at the starts: go downhill from each of them first.",
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


def call_constraint(fn, estimate, sigma, A, lam, gate):
    """The term and its gradient, for a bent projector."""

    def project(x):
        return torch.tanh(x.flatten(1) @ A).reshape(x.shape)

    estimate = estimate.clone().requires_grad_()
    value = fn(estimate, sigma, project, lam, gate)
    if not (isinstance(value, torch.Tensor) and value.requires_grad):
        return torch.as_tensor(float(value)), torch.zeros_like(estimate)
    return value, torch.autograd.grad(value, estimate, allow_unused=True, materialize_grads=True)[0]


def constraint_inputs(g):
    N = whole(g, 5, 7)
    sigma = torch.cat([torch.tensor([0.1, 0.9, 0.2, 1.5]), 2 * torch.rand(N - 4, generator=g)]).double()
    return normal(g, N, 1, 2, 3), sigma[:, None, None, None], 0.5 * normal(g, 6, 6), real(g, 1.5, 9), real(g, 0.4, 0.8)


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
    call=call_constraint,
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
            "No gradient reaches the estimate: only the projector's answer is held fixed.",
        ),
        Wrong(constrained(size=lambda x: x.abs()), "The residual is squared in (13.8), not taken by its size."),
        Wrong(
            constrained(scale=lambda lam, gated: lam * len(gated) / gated.sum()),
            "You divide by the number of open levels: (13.8) is a mean over the whole batch.",
        ),
        Wrong(constrained(scale=lambda lam, gated: 1.0), "lam does not enter: it says how much the term weighs."),
        Wrong(
            constrained(gather=lambda x: x.sum()), "You summed: (13.8) is a mean over the batch and over the pixels."
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


def call_edited(fn, x, y, known, sigma, a):
    """The new denoiser's estimates; a single 0 where a picture came back in place of a denoiser."""

    def D(x, sigma):
        return torch.tanh(x.cumsum(-1) / (a + sigma))

    denoiser = fn(D, y, known)
    return torch.tensor(0.0) if isinstance(denoiser, torch.Tensor) else denoiser(x, sigma)


def editing_inputs(g):
    known = torch.rand(1, 4, 4, generator=g) < 0.5
    known[0, 0], known[0, 1] = torch.tensor([True, False, True, False]), torch.tensor([False, True, False, True])
    return normal(g, 3, 1, 4, 4), normal(g, 1, 4, 4), known, real(g, 0.3, 2), real(g, 0.5, 1.5)


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
