"""Guidance: denoisers made from denoisers, and the potentials that push particles apart.

`kernels` says how alike two particles are, `potentials` what a whole set weighs, `wrappers` turns both into denoisers
(and holds SVGD, SPELL and condition annealing, which need no potential), `steps` turns a step into another. Like
`metrics` this package re-exports its functions: `from course_lib.guidance import Repulsion`.
"""

from course_lib.guidance.kernels import flatten, median_bandwidth, radial, rbf
from course_lib.guidance.potentials import Above, Determinantal, Groups, Repulsion, VendiPotential
from course_lib.guidance.steps import turned
from course_lib.guidance.wrappers import cads, guided, in_groups, spell, svgd, switch

__all__ = [
    "Above",
    "Determinantal",
    "Groups",
    "Repulsion",
    "VendiPotential",
    "cads",
    "flatten",
    "guided",
    "in_groups",
    "median_bandwidth",
    "radial",
    "rbf",
    "spell",
    "svgd",
    "switch",
    "turned",
]
