"""SPELL: estimates that come closer than a radius are pushed apart until they do not."""

from course_lib.denoisers import cfg
from course_lib.guidance import spell, switch
from course_lib.samplers import sample

RADIUS = 32.0  # a fifth of all pairs of the plain sampler are closer (chapter 10)


def method(prompted, unprompted, x, levels, strength):
    w = 7.5 ** (1 - strength) * 1.5**strength
    D = cfg(prompted, unprompted, w)
    return sample(switch(0.5, spell(D, RADIUS), D), x, levels)
