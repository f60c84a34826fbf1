"""Samples -> images -> scores: one draw of each sampler is used by all sample metrics of a run.

Law: an error in a plugin's sampler, metric or picture is recorded next to the scores that could be
computed, and is never raised; only a stop, a full disk and a damaged store are.
"""

from genbench.evaluation.contexts import sample_context, scored_labels
from genbench.evaluation.drawing import checked
from genbench.evaluation.evaluating import (
    MOST_SAMPLES,
    check_fit,
    default_n,
    evaluate,
    evaluation_seed,
)
from genbench.evaluation.faults import CAUGHT, Fault, Owner, fault, no_owner, who
from genbench.evaluation.metric_pass import SAMPLING

__all__ = [
    "CAUGHT",
    "MOST_SAMPLES",
    "SAMPLING",
    "Fault",
    "Owner",
    "check_fit",
    "checked",
    "default_n",
    "evaluate",
    "evaluation_seed",
    "fault",
    "no_owner",
    "sample_context",
    "scored_labels",
    "who",
]
