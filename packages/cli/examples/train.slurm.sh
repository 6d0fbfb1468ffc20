#!/bin/bash
# Training on many GPUs, as the original ran: 16 nodes of 8 GPUs, 16 pictures on each, 2048 in a step.
#
#   sbatch train.slurm.sh "shards/{0000..4095}.tar" runs/paella --config paella.json --vqgan runs/vqgan
#
# Every task is one process with a GPU of its own; Slurm starts them, MPI (Open MPI, or MPICH with --mpi=pmi2) connects
# them. Three minutes before the time is over Slurm says so (SIGTERM): a checkpoint is saved, and the job, put into the
# queue again, goes on from it. The folder of the run needs to be seen by the first node only, the data by all.
#SBATCH --job-name=paella
#SBATCH --nodes=16
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-task=1
#SBATCH --gpu-bind=single:1
#SBATCH --cpus-per-task=6
#SBATCH --mem-per-cpu=8G
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@180
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail

data=$1
run=$2
resume=$([[ -e $run/run.json ]] && echo --resume)
srun --mpi=pmix --kill-on-bad-exit=1 node_modules/.bin/paella train paella \
  --data "$data" --out "$run" --adapter gpu $resume "${@:3}"
code=$?
# 130: stopped with a checkpoint. Anything else is for a person to look at.
[[ $code == 130 ]] && scontrol requeue "$SLURM_JOB_ID"
exit $code
