"""Interval guidance: the prompt is pushed only where the picture is decided."""

from course_lib.denoisers import cfg, interval
from course_lib.samplers import sample


def method(prompted, unprompted, x, levels, strength):
    w = 7.5 ** (1 - strength) * 1.5**strength
    return sample(cfg(prompted, unprompted, interval(w, 0.28, 5.42)), x, levels)
