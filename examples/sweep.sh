#!/bin/sh
# Two models, three seeds each, then the table: mean, spread and speed-up over the first model.
#
#     sh examples/sweep.sh [DATASET] [EPOCHS]
#
# Seeds of one experiment are grouped by `genbench compare`. A run that fails doesn't stop the
# others; the script ends with 1 if any did.
set -u
dataset=${1:-digits}
epochs=${2:-20}
failed=0

for model in gan vaegan; do
    for seed in 0 1 2; do
        genbench run "$model" "$dataset" --epochs "$epochs" --seed "$seed" --tag sweep || failed=1
    done
done

genbench compare --tag sweep --baseline gan
exit $failed
