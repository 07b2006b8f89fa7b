#!/usr/bin/env bash
# Starts Kafka (KRaft) from Maven Central's jars on free ports of this machine, and stops it on Ctrl-C.
#
#   NODES=1       how many nodes: 1, or 3 with every internal topic on three of them
#   KAFKA_DATA=   where the nodes keep their logs; a new temporary folder, removed at the end, if it is not set
#   KAFKA_LIBS=   where the jars are kept between runs; the user's cache folder if it is not set
#   KAFKA_PROPERTIES=  a file of broker settings that go over those here
#   KAFKA_LISTENER=    name of one more listener, such as SASL_SSL, which clients are then sent to; KAFKA_PROPERTIES
#                      says what it is
#   KAFKA_JVM=         options of Java; those here make a broker start soon and take little, and slow under load
#   KAFKA_SCRAM=       a user to begin with, as StorageTool's --add-scram takes it
#
# Prints one line `bootstrap HOST:PORT[,HOST:PORT...]` once every node takes requests.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nodes=${NODES:-1}
libs=${KAFKA_LIBS:-${XDG_CACHE_HOME:-$HOME/.cache}/plimsoll/kafka-$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$here/pom.xml")}
start_seconds_max=120

say() { printf 'kafka: %s\n' "$1" >&2; }
fail() { say "$1"; exit 1; }

[[ $nodes == 1 || $nodes == 3 ]] || fail "expected NODES=1 or NODES=3, found NODES=$nodes"
command -v java >/dev/null || fail "expected Java 17 or later on the PATH, found none: install one, or name a broker with PLIMSOLL_TEST_KAFKA"

if [[ ! -e $libs/.complete ]]; then
  command -v mvn >/dev/null || fail "expected Maven (mvn) on the PATH to fetch the broker's jars, found none"
  say "fetching the broker's jars into $libs, once"
  mkdir -p "$libs"
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$libs" >&2 || fail "the jars could not be fetched: see above"
  touch "$libs/.complete"
fi

data=${KAFKA_DATA:-}
if [[ -z $data ]]; then
  data=$(mktemp -d "${TMPDIR:-/tmp}/plimsoll-kafka.XXXXXX")
  remove=$data
fi
pids=()
stop() {
  trap - EXIT INT TERM
  for pid in "${pids[@]:-}"; do [[ -n $pid ]] && kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]:-}"; do [[ -n $pid ]] && wait "$pid" 2>/dev/null || true; done
  [[ -n ${remove:-} ]] && rm -rf "$remove"
  exit 0
}
trap stop EXIT INT TERM

# Free ports: three a node, asked of the kernel together so that they differ.
mapfile -t ports < <(python3 - "$((nodes * 3))" <<'PY'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
for each in held:
    print(each.getsockname()[1])
PY
)

listener=${KAFKA_LISTENER:-}
clients=$([[ -n $listener ]] && echo 1 || echo 3) # of a node's ports, from the end: the further listener's, or PLAINTEXT's
voters="" bootstrap=""
for ((node = 1; node <= nodes; node++)); do
  voters+="${voters:+,}$node@127.0.0.1:${ports[node * 3 - 2]}"
  bootstrap+="${bootstrap:+,}127.0.0.1:${ports[node * 3 - clients]}"
done

mkdir -p "$data"
[[ -s $data/cluster-id ]] || head -c 16 /dev/urandom | base64 | tr '+/' '-_' | sed 's/^-/A/' | cut -c1-22 >"$data/cluster-id"
replicas=$nodes
for ((node = 1; node <= nodes; node++)); do
  folder=$data/node-$node
  mkdir -p "$folder"
  {
    cat "$here/server.properties"
    echo "node.id=$node"
    echo "controller.quorum.voters=$voters"
    echo "listeners=PLAINTEXT://127.0.0.1:${ports[node * 3 - 3]},CONTROLLER://127.0.0.1:${ports[node * 3 - 2]}${listener:+,$listener://127.0.0.1:${ports[node * 3 - 1]}}"
    echo "log.dirs=$folder/log"
    echo "default.replication.factor=$replicas"
    echo "offsets.topic.replication.factor=$replicas"
    echo "transaction.state.log.replication.factor=$replicas"
    echo "transaction.state.log.min.isr=$((replicas > 1 ? 2 : 1))"
    echo "share.coordinator.state.topic.replication.factor=$replicas"
    echo "min.insync.replicas=$((replicas > 1 ? 2 : 1))"
    [[ -z ${KAFKA_PROPERTIES:-} ]] || cat "$KAFKA_PROPERTIES"
  } >"$folder/server.properties"
  java -cp "$libs/*" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn kafka.tools.StorageTool \
    format --ignore-formatted -t "$(cat "$data/cluster-id")" -c "$folder/server.properties" \
    ${KAFKA_SCRAM:+--add-scram "$KAFKA_SCRAM"} >"$folder/format.log" 2>&1 ||
    fail "node $node could not be formatted: $(tail -n 1 "$folder/format.log")"
  # shellcheck disable=SC2086  # options are words
  java ${KAFKA_JVM:--Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1} -cp "$libs/*" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    kafka.Kafka "$folder/server.properties" >"$folder/broker.log" 2>&1 &
  pids+=($!)
  echo "${pids[-1]}" >"$folder/pid"
done

for ((node = 1; node <= nodes; node++)); do
  port=${ports[node * 3 - clients]}
  for ((waited = 0; ; waited++)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    kill -0 "${pids[node - 1]}" 2>/dev/null || fail "node $node ended: $(tail -n 3 "$data/node-$node/broker.log")"
    ((waited < start_seconds_max * 5)) || fail "node $node takes no requests after $start_seconds_max s: see $data/node-$node/broker.log"
    sleep 0.2
  done
done
echo "bootstrap $bootstrap"
say "$nodes node(s), data in $data; Ctrl-C stops"
wait
