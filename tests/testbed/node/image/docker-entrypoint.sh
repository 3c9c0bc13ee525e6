#!/bin/bash
# Understands the words and variables of Flink's official image: jobmanager, taskmanager, standalone-job, each with the
# process's arguments behind it; anything else is run as a command.
export FLINK_CONF_DIR=${FLINK_CONF_DIR:-$FLINK_HOME/conf}

# Flink 2 reads config.yaml only; 1.19 and 1.20 either.
settings=$FLINK_CONF_DIR/config.yaml
[ -e "$settings" ] || settings=$FLINK_CONF_DIR/flink-conf.yaml

# Into a mounted ConfigMap nothing can be written: it is taken as it is.
set_option() { # KEY VALUE
  [ -w "$FLINK_CONF_DIR" ] && [ -w "$settings" ] || return 0
  local kept
  kept=$(awk -v key="$1:" 'index($0, key) != 1' "$settings")
  printf '%s\n%s: %s\n' "$kept" "$1" "$2" >"$settings"
}

# The value of a line `key: value`; nested YAML is not looked into.
option() { sed -n "s/^$1: *//p" "$settings" | tail -n 1 | sed -e 's/^"\(.*\)"$/\1/' -e "s/^'\(.*\)'\$/\1/"; }

# Flink's jars, in the order in which their classes were archived.
class_path() {
  local IFS=: jars=("$FLINK_HOME"/lib/*.jar)
  echo "${jars[*]}"
}
sharing=()
[ ! -e "$FLINK_HOME/classes.jsa" ] || sharing=("-XX:SharedArchiveFile=$FLINK_HOME/classes.jsa" -Xlog:cds=off)

# Flink's own calculator turns its settings into the flags of the JVM and into settings with every size filled in.
compute_memory() { # GET_JM_RESOURCE_PARAMS|GET_TM_RESOURCE_PARAMS ARG...
  local command=$1 out
  shift
  out=$(java "${sharing[@]}" -cp "$(class_path):$FLINK_HOME/bin/bash-java-utils.jar" org.apache.flink.runtime.util.bash.BashJavaUtils "$command" \
    --configDir "$FLINK_CONF_DIR" "$@" 2>&1) || { echo "$out" >&2; exit 1; }
  mapfile -t out < <(sed -n 's/^BASH_JAVA_UTILS_EXEC_RESULT://p' <<<"$out")
  read -ra jvm_flags <<<"${out[0]}"
  read -ra sizes <<<"${out[1]}"
}

# Flink reaches into these packages; Java lets it only when told to.
opened="java.lang java.net java.io java.nio java.lang.reflect java.text java.time java.util java.util.concurrent
  java.util.concurrent.atomic java.util.concurrent.locks sun.net.util"

run_flink() { # ROLE CLASS ARG...
  local role=$1 class=$2 logging=$FLINK_CONF_DIR/log4j-console.properties package more
  local flags=("${jvm_flags[@]}" --add-exports=java.base/sun.net.util=ALL-UNNAMED)
  shift 2
  [ -e "$logging" ] || logging=$FLINK_HOME/etc/log4j-console.properties
  for package in $opened; do flags+=("--add-opens=java.base/$package=ALL-UNNAMED"); done
  read -ra more <<<"$(option env.java.opts.all) $(option "env.java.opts.$role") $FLINK_ENV_JAVA_OPTS"
  exec java "${flags[@]}" "${more[@]}" "-Dlog.file=$FLINK_HOME/log/flink-$role.log" "-Dlog4j.configurationFile=file:$logging" \
    "${sharing[@]}" -cp "$(class_path)" "$class" --configDir "$FLINK_CONF_DIR" "$@"
}

role=$1
case $role in
  jobmanager | taskmanager | standalone-job)
    shift
    set_option jobmanager.rpc.address "${JOB_MANAGER_RPC_ADDRESS:-$(hostname)}"
    set_option blob.server.port 6124
    [ -z "$TASK_MANAGER_NUMBER_OF_TASK_SLOTS" ] || set_option taskmanager.numberOfTaskSlots "$TASK_MANAGER_NUMBER_OF_TASK_SLOTS"
    while IFS=: read -r key value; do
      [ -z "$value" ] || set_option "${key// /}" "${value# }"
    done <<<"$FLINK_PROPERTIES"
    ;;
esac
case $role in
  jobmanager)
    compute_memory GET_JM_RESOURCE_PARAMS "$@"
    run_flink jobmanager org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint "$@" "${sizes[@]}"
    ;;
  standalone-job)
    compute_memory GET_JM_RESOURCE_PARAMS "$@"
    # What follows the options is the program's.
    run_flink jobmanager org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint "${sizes[@]}" "$@"
    ;;
  taskmanager)
    compute_memory GET_TM_RESOURCE_PARAMS "$@"
    run_flink taskmanager org.apache.flink.runtime.taskexecutor.TaskManagerRunner "${sizes[@]}" "$@"
    ;;
  *) exec "$@" ;;
esac
