#!/bin/sh
# Trains on several nodes of a Slurm cluster, one process a node. `make MPI=1` builds vqct-mpi.
#
#   sbatch --nodes 8 deploy/training/slurm.sh DATA PRIOR PERCEPTUAL RUN
#
# RUN and DATA lie on a file system that all nodes share. A step takes `--batch` pictures on each
# process, so 8 nodes with 2 pictures each are the paper's 8 devices. Slurm's SIGTERM at the time
# limit makes a checkpoint; submitting the same job again goes on from it.
#SBATCH --job-name=vqct-train
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
set -eu
data=$1 prior=$2 perceptual=$3 run=$4
resume=
if [ -e "$run/last.safetensors" ]; then
  resume=--resume
fi
srun --mpi=pmix vqct-mpi train --config config/train/ms-coco.json --accumulate 1 \
  --threads "$SLURM_CPUS_PER_TASK" --data "$data" --prior "$prior" --perceptual "$perceptual" \
  --output "$run" $resume
