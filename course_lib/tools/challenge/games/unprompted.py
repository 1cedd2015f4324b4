"""A game: the prompt is ignored, so that shapes and colours vary as well."""

from course_lib.samplers import sample


def method(prompted, unprompted, x, levels, strength):
    return sample(unprompted, x, levels)
