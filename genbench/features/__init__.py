"""Features of samples that scores are taken on: the values themselves, or a classifier's.

What every metric on features needs, of whichever plugin: extractors, the data set's own classifier
(shipped, or trained here once), real samples as a metric sees them, and a cache for
results that are expensive to compute.
"""
