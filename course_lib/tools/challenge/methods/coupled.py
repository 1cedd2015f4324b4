"""Coupled noise: starts that are as far apart as they can be, free of charge."""

from course_lib.denoisers import cfg
from course_lib.samplers import sample
from course_lib.seeds import coupled


def method(prompted, unprompted, x, levels, strength):
    w = 7.5 ** (1 - strength) * 1.5**strength
    return sample(cfg(prompted, unprompted, w), coupled(x), levels)
