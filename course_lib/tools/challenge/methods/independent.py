"""Independent sampling: guidance alone, weaker where more is dared."""

from course_lib.denoisers import cfg
from course_lib.samplers import sample


def method(prompted, unprompted, x, levels, strength):
    w = 7.5 ** (1 - strength) * 1.5**strength
    return sample(cfg(prompted, unprompted, w), x, levels)
