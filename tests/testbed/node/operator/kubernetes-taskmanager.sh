#!/bin/bash
# A TaskManager of Flink's native Kubernetes mode. The JobManager has worked out its memory: flags in FLINK_TM_JVM_MEM_OPTS, the
# rest among the arguments.
. "$(dirname "$0")/functions"
read -ra jvm_flags <<<"$FLINK_TM_JVM_MEM_OPTS"
run_flink taskmanager org.apache.flink.kubernetes.taskmanager.KubernetesTaskExecutorRunner "$@"
