#!/usr/bin/env bash
# Runs a broker that is its own controller in the foreground: folder of jars, folder
# of data, port (and the next, for the controller). On the loopback, without security.
set -euo pipefail
jars=$1 data=$2 port=$3
mkdir -p "$data"
cat > "$data/broker.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$data/logs
num.partitions=3
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
CONF
java -cp "$jars/*" kafka.tools.StorageTool format --ignore-formatted -t c3BhcmtpZnktZGVtby0wMA -c "$data/broker.properties" >/dev/null 2>&1
exec java -Xmx384m -XX:+UseSerialGC -cp "$jars/*" kafka.Kafka "$data/broker.properties"
