"""Diverse diffusion: a thin library in which each method is a page that reads like its equation.

Everything that samples is a denoiser D(x, sigma) -> x0; everything that changes sampling takes denoisers and returns a
denoiser. Import from the module that holds the method, so that the import says where to read:

denoisers         exact and trained denoisers, the score, classifier-free guidance
samplers          noise levels, step formulas, and the one loop: trajectory, sample
guidance          guided, kernels, repulsion and the other potentials, SVGD, SPELL, condition annealing
seeds             one generator per particle, coupled noise, choosing among many
metrics           coverage, Hill numbers, Vendi, similarity, Frechet distance, standard errors
training          the denoising loss and the training loop
rivals            a GAN and a VAE in the plane
stable_diffusion  the adapter, the only module that knows timesteps
plots             figures from arrays
claims            claims with baseline, control and verdict; stored results
exercises         declarations of the exercises; check, fallback and quiz
tools             what maintainers and instructors run: the command `course`
"""
