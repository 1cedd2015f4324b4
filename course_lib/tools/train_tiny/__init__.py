"""Training of the small Stable Diffusion that ships with the course, from nothing."""
