"""Repulsion in the rule of thirds on the estimates, early, on top of a weaker guidance (chapter 10)."""

from course_lib.denoisers import cfg
from course_lib.features import rule_of_thirds
from course_lib.guidance import Above, Repulsion, guided
from course_lib.samplers import sample


def method(prompted, unprompted, x, levels, strength):
    w = 7.5 ** (1 - strength) * 1.5**strength
    apart = Above(0.5, Repulsion(1.0, features=rule_of_thirds, on="x0"))
    return sample(guided(cfg(prompted, unprompted, w), apart, relative=0.3), x, levels)
