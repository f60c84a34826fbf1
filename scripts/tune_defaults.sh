#!/usr/bin/env bash
# Tune the defaults of models at an equal budget on the validation split of MNIST: each trial trains for
# as many images as fit into SECONDS_EACH of one thread. The best two and the present defaults are then
# trained with three fresh seeds. Where they differ, both are measured in longer runs on the test split.
#
#   scripts/tune_defaults.sh [MODEL...]         # default: all of them; the results are in defaults.db
#   scripts/tune_defaults.sh --page             # writes docs/tables/defaults.md from defaults.db
#
# Started again, it continues. To see one search: genbench tune --resume defaults-MODEL --store defaults.db
set -euo pipefail

store=${STORE:-defaults.db} seconds=${SECONDS_EACH:-15}
common=(--metric fd_clf --samples 5000 --threads 1 --device cpu --store "$store")

search() {  # MODEL TRIALS SETTING...
    local model=$1 trials=$2
    shift 2
    genbench tune "$model" mnist "${@/#/--set=}" "${common[@]}" --epoch-images 1000 \
        --limit "seconds=$seconds" --trials "$trials" --top 2 --confirm 3 --against-defaults \
        --name "defaults-$model"
}

compare() {  # MODEL old|new EPOCHS SETTING...
    local model=$1 which=$2 epochs=$3
    shift 3
    genbench run "$model" mnist "${@/#/--set=}" "${common[@]}" --epoch-images 10000 \
        --epochs "$epochs" --seeds 0..2 --tag "defaults:$model:$which"
}

adam="beta1=0..0.9"

tune_one() {
    case $1 in
        gan) search gan 14 g_lr=log:5e-5..5e-3 d_lr=log:5e-5..5e-3 $adam ;;
        dcgan) search dcgan 14 g_lr=log:5e-5..5e-3 d_lr=log:5e-5..5e-3 batch_size=64,128 ;;
        began) search began 14 g_lr=log:2e-4..5e-3 d_lr=log:2e-4..5e-3 gamma=0.4..1 k_rate=log:1e-3..0.2 ;;
        vaegan-larsen) search vaegan-larsen 14 lr=log:5e-4..1e-2 d_lr=log:5e-5..2e-3 gamma=log:0.1..10 ;;
        lsgan | sngan) search "$1" 6 g_lr=log:1e-4..5e-3 d_lr=log:1e-4..5e-3 $adam ;;
        cgan | infogan) search "$1" 6 g_lr=log:1e-4..5e-3 d_lr=log:5e-5..5e-3 $adam ;;
        wgan) search wgan 6 g_lr=log:1e-4..1e-2 d_lr=log:1e-4..1e-2 ;;
        wgan-gp) search wgan-gp 6 g_lr=log:1e-4..5e-3 d_lr=log:1e-4..5e-3 $adam ;;
        ebgan | ebgan-pt) search "$1" 6 g_lr=log:2e-4..5e-3 d_lr=log:2e-4..5e-3 $adam ;;
        vae | vae-gmm) search "$1" 6 lr=log:3e-4..1e-2 ;;
        aae) search aae 6 lr=log:3e-4..1e-2 d_lr=log:1e-4..5e-3 ;;
    esac
}
