"""Tuning: settings that are searched for by runs, each of them a ``genbench`` command of its own.

The question and the proposals are in the store, and the results are those of the runs, so a search
that was stopped goes on where it was. torch is never imported here, and optuna late.
"""
