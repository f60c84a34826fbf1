"""Features of samples for scores: the values themselves, or those of a classifier.

This is what metrics on features of any plugin need: extractors, a classifier for the data set
(shipped, or trained once on this machine), real samples as input of metrics, and a cache for
results that are expensive to compute.
"""
