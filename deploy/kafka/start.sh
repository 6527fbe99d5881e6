#!/bin/sh
# Starts the one Kafka node of compose.yaml, with SCRAM and ACLs from its first start on, as the embedded node has them.
# The broker's password comes from a secret: it is on no command line and in no environment. Changing the file later does
# not change the password that Kafka keeps.
set -eu
umask 077

kafka=/opt/kafka/bin
data=/var/lib/kafka/data
secret=/run/secrets/kafka_password
properties=/tmp/server.properties
module=org.apache.kafka.common.security

password=$(cat "$secret")
case $password in
  '' | *[!0-9A-Za-z]*) echo "$secret: expected letters and digits only, on one line" >&2; exit 1 ;;
esac
controller=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')

{
  cat /opt/datanuts/server.properties
  echo "log.dirs=$data"
  echo "listener.name.clients.scram-sha-512.sasl.jaas.config=$module.scram.ScramLoginModule required" \
    "username=\"broker\" password=\"$password\";"
  echo "listener.name.controller.plain.sasl.jaas.config=$module.plain.PlainLoginModule required" \
    "username=\"controller\" password=\"$controller\" user_controller=\"$controller\";"
} > "$properties"

if [ ! -e "$data/meta.properties" ]; then
  # The tool reads its arguments from a file; printf is part of the shell.
  printf '%s\n' format --cluster-id "$("$kafka/kafka-storage.sh" random-uuid)" --config "$properties" \
    --add-scram "SCRAM-SHA-512=[name=broker,iterations=4096,password=$password]" > /tmp/format
  "$kafka/kafka-storage.sh" @/tmp/format
  rm /tmp/format
fi

exec "$kafka/kafka-server-start.sh" "$properties"
