"""Latent spaces in pictures: paths through them, grids over them, where the data lies in them.

Functions of models and data alone; they know neither runs nor files.
"""
