# Stands before the command of a job with `launcher: mpi`, on every node; LEPTON_MPI_COMMAND is that command.
#
# The first node runs mpirun. The others wait for what mpirun would start on them by ssh, and run it themselves, so that no
# node needs a key of another, and every process belongs to its own node's part of the run.
# shellcheck shell=sh

for tool in mpirun python3; do
  command -v $tool >/dev/null || {
    echo "lepton: launcher mpi needs Open MPI 4 and python3 on every node, and node $NODE_RANK has no $tool" >&2
    exit 127
  }
done
case $(mpirun --version 2>&1) in
  *"Open MPI"*) ;;
  *)
    echo "lepton: launcher mpi needs Open MPI 4, and mpirun on node $NODE_RANK is another one" >&2
    exit 127
    ;;
esac
LEPTON_MPI_FOLDER=$PWD
export LEPTON_MPI_FOLDER LEPTON_MPI_COMMAND
[ "$NODE_RANK" = 0 ] || exec python3 .lepton-mpi.py

slots=$((NGPUS > 0 ? NGPUS : 1))
# Names that resolve nowhere: two nodes of a run may be one host, with other GPUs each.
hosts=localhost:$slots rank=1
while [ "$rank" -lt "$NNODES" ]; do
  hosts=$hosts,lepton-rank-$rank:$slots rank=$((rank + 1))
done
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_plm=rsh OMPI_MCA_plm_rsh_agent='python3 .lepton-mpi.py' OMPI_MCA_plm_rsh_no_tree_spawn=1
export OMPI_MCA_orte_leave_session_attached=1
# Else the ranks of two jobs on one host would share its first cores.
export OMPI_MCA_hwloc_base_binding_policy="${OMPI_MCA_hwloc_base_binding_policy:-none}"
# Nodes that are one host would name their shared memory alike; between them and in them ranks then speak TCP.
[ -z "$(sort "$HOSTFILE" | uniq -d)" ] || export OMPI_MCA_btl="${OMPI_MCA_btl:-^vader}"
# A folder that every node has; each rank then goes to that of its own node. Nothing here is for this shell to fill in.
# shellcheck disable=SC2016
exec mpirun --wdir / --host "$hosts" /bin/sh -c '
cd "$LEPTON_MPI_FOLDER" || exit 126
export RANK="$OMPI_COMM_WORLD_RANK" WORLD_SIZE="$OMPI_COMM_WORLD_SIZE"
export LOCAL_RANK="$OMPI_COMM_WORLD_LOCAL_RANK" LOCAL_WORLD_SIZE="$OMPI_COMM_WORLD_LOCAL_SIZE"
/bin/sh -c "$LEPTON_MPI_COMMAND"
code=$?
[ $code = 0 ] || : >".lepton-mpi-code.$code"
exit $code'
