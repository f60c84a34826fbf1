#!/usr/bin/env bash
# Tune every model at an equal budget on the validation split, and confirm the best with fresh seeds.
# A model takes TRIALS x SECONDS of training, and confirming 3 x 5 x SECONDS: 45 minutes with the values below.
#
#   scripts/tune_defaults.sh [DATASET]          # default: mnist; the results are in tunings.db
#
# Started again, it continues. To see the results: genbench tune --resume NAME --store tunings.db
set -euo pipefail

dataset=${1:-mnist}
trials=${TRIALS:-30} seconds=${SECONDS_EACH:-60} jobs=${JOBS:-1}
models=${MODELS:-dcgan began vaegan-larsen gan lsgan wgan wgan-gp sngan ebgan ebgan-pt vae vaegan}

for model in $models; do
    genbench tune "$model" "$dataset" --objective fd_clf --trials "$trials" --limit "seconds=$seconds" \
        --jobs "$jobs" --top 3 --confirm 5 --name "defaults-$model-$dataset" --store tunings.db
done
