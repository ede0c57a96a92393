#!/usr/bin/env bash
# Train on the GPUs of one machine, or of several that each run this same line.
#
#   launch/torchrun.sh recipe.yaml --out runs/mine parallel.shard_size=0
#   NNODES=4 MASTER_ADDR=node-0 launch/torchrun.sh recipe.yaml --out /shared/runs/mine parallel.shard_size=8
#   NPROC_PER_NODE=2 launch/torchrun.sh recipe.yaml --out runs/mine run.device=cpu
#
# With several machines, --out and the corpus lie on a file system that all of them see.
#
#   NNODES          machines (1)
#   NPROC_PER_NODE  processes on each (gpu: one for each GPU)
#   MASTER_ADDR     one of the machines, the same on all; needed with more than one
#   MASTER_PORT     a free port of it (29500)
#   RUN_ID          tells runs apart that share the address and the port (spanmix)
#   MAX_RESTARTS    how often all processes start again when one dies (3)
#   SAVE_SECONDS    how long a step and a save may take when the run is told to stop (170)
#   PYTHON          the interpreter that Spanmix is installed for (python3)
#
# torchrun starts processes again whatever they ended with: a recipe that is refused is refused MAX_RESTARTS times
# more. Set MAX_RESTARTS=0 for a first try.
#
# SIGTERM or SIGUSR1 to this process lets all finish their step and save; the same line then goes on. torchrun
# exits with 1 whatever its processes exit with, so look for "stopped" at the end of RUN/events.jsonl.
set -euo pipefail

if (($# < 3)); then
    echo "usage: ${0##*/} RECIPE --out RUN [section.field=value ...]" >&2
    exit 2
fi

NNODES=${NNODES:-1}
rendezvous=(--standalone)
if [[ $NNODES != 1 ]]; then
    if [[ -z ${MASTER_ADDR:-} ]]; then
        echo "${0##*/}: NNODES is $NNODES; set MASTER_ADDR to one of the machines, the same on all" >&2
        exit 2
    fi
    rendezvous=(
        --rdzv-backend=c10d
        "--rdzv-endpoint=$MASTER_ADDR:${MASTER_PORT:-29500}"
        "--rdzv-id=${RUN_ID:-spanmix}"
    )
fi

# torchrun passes these on to its processes. SIGUSR1 is not among them by default: it would end torchrun alone.
export PET_SIGNALS_TO_HANDLE=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1
# After 30 seconds, by default, it kills those that are still saving.
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=${SAVE_SECONDS:-170}

# exec: the signal that this process gets is torchrun's.
exec "${PYTHON:-python3}" -m torch.distributed.run \
    "--nnodes=$NNODES" \
    "--nproc-per-node=${NPROC_PER_NODE:-gpu}" \
    "--max-restarts=${MAX_RESTARTS:-3}" \
    "${rendezvous[@]}" \
    -m spanmix train "$@"
