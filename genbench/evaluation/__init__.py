"""Samples -> images -> scores: one draw of each sampler is used by all sample metrics of a run.

Law: an error in a plugin's sampler, metric or picture is recorded next to the scores that could be
computed, and is never raised; only a stop, a full disk and a damaged store are.
"""

from genbench.evaluation.contexts import (
    sample_context as sample_context,
    scored_labels as scored_labels,
)
from genbench.evaluation.evaluating import (
    MOST_SAMPLES as MOST_SAMPLES,
    check_fit as check_fit,
    default_n as default_n,
    evaluate as evaluate,
    evaluation_seed as evaluation_seed,
)
from genbench.evaluation.faults import (
    CAUGHT as CAUGHT,
    Fault as Fault,
    Owner as Owner,
    fault as fault,
    no_owner as no_owner,
    who as who,
)
from genbench.evaluation.metric_pass import (
    SAMPLING as SAMPLING,
)
from genbench.evaluation.plugin_checks import (
    checked as checked,
)
