"""Diverse diffusion: a thin library in which each method is a page that reads like its equation.

Everything that samples is a denoiser D(x, sigma) -> x0; everything that changes sampling takes denoisers and returns a
denoiser. Import from the module that holds the method, so that the import says where to read:

denoisers         exact and trained denoisers, the score, classifier-free guidance
samplers          noise levels, step formulas, and the one loop: trajectory, sample
guidance          guided, kernels, repulsion and the other potentials, SVGD, SPELL, condition annealing
seeds             one generator per particle, coupled noise, choosing among many, the length of a seed
seedselect        SeedSelect: gradients through the sampler choose a seed
metrics           modes, effective numbers, Frechet and kernel distances, neighbours, similarities, standard errors
training          the denoising loss, the training loop also in half precision, adapters and their files
manifolds         circle, sphere and swiss roll with exact denoiser, distance and sampler
constraints       steps and weights that keep sampling on the manifold: MPGD, DPS, MCG, CFG++, editing
penalties         differentiable distances to the data, and how they fail
dimension         intrinsic dimension, coding rate
world             the small image world: factors, a differentiable renderer, captions
small_pictures    handwritten digits of 8 x 8, and a plain world of 12 x 12
fit               exact distance to the plain world, by going downhill in its renderer
unet              a small UNet, made of the parts that chapter 13 builds
shapes            signed distances to the outlines of the world's shapes
features          maps from latents and images to features, embeddings, and the oracle
rivals            a GAN and a VAE in the plane, and a GAN that makes diffusion steps
stable_diffusion  the adapter, the only module that knows the timesteps of a diffusion
flow_matching     velocities as denoisers: times, levels, the shift of a schedule
flow_pipelines    the adapter for flow-matching pipelines, of Stable Diffusion 3's kind
prompted          what both adapters do with prompts and seeds: guidance over embeddings, first noise
models            the registry of models: where they come from, under which terms, how they are found
weights           single files of weights, and how they are known to be right
devices           where a network lives
checks            what an argument must be, in one sentence
memory            how many pictures go through a network at once
plots             figures from arrays
verdicts          when an effect is shown: Student's t over independent repeats
claims            claims with baseline, control and verdict; stored results
evaluations       runs of `course evaluate` that somebody has stored, with their card and date
exercises         declarations of the exercises; check, fallback and quiz
tools             what maintainers and instructors run: the command `course`
"""

__version__ = "1.0.0"
