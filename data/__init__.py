"""What people decide: sources, taxonomy, corpus, samples, policy, and the shape of the store. No behaviour."""

from importlib.resources import files

DATA = files(__name__)
"""This folder, for the one loader that each kind of data has."""
