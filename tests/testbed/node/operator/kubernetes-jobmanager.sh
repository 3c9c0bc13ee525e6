#!/bin/bash
# The JobManager of Flink's native Kubernetes mode, by the words that Flink puts into a pod's command.
. "$(dirname "$0")/functions"
class=KubernetesSessionClusterEntrypoint
[ "$1" != kubernetes-application ] || class=KubernetesApplicationClusterEntrypoint
shift
compute_memory GET_JM_RESOURCE_PARAMS "$@"
run_flink jobmanager "org.apache.flink.kubernetes.entrypoint.$class" "${sizes[@]}" "$@"
