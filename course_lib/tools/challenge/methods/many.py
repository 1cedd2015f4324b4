"""Best of many: twice as many candidates at half the levels, of which those farthest apart are kept."""

import torch

from course_lib.denoisers import cfg
from course_lib.features import rule_of_thirds
from course_lib.samplers import sample
from course_lib.seeds import select_from_many


def method(prompted, unprompted, x, levels, strength):
    w = 7.5 ** (1 - strength) * 1.5**strength
    more = (1 + levels[0] ** 2).sqrt().float() * torch.randn(x.shape)
    candidates = sample(cfg(prompted, unprompted, w), torch.cat([x, more]), levels[::2])
    return candidates[select_from_many(rule_of_thirds(candidates), len(x))]
