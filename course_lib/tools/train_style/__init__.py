"""`course train-style --model NAME`: the style classifier of chapter 10, for the latents of any model.

latents.py   what it is trained on: the small world's pictures, or pictures that the model makes of subjects by artists
training.py  the loss at every noise level, and how often it is right at some
command.py   the command
"""
