#!/usr/bin/env bash
# Fetches the jars of a Kafka broker from Maven Central into a folder; does nothing
# where they are there. Says why, and fails, where they cannot be had.
set -euo pipefail
folder=$1
pom=$(cd "$(dirname "$0")" && pwd)/pom.xml
stamp=$(cksum < "$pom")
[ "$(cat "$folder/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
for program in java mvn; do
    command -v "$program" >/dev/null || { echo "$program is not installed (apt-get install default-jre-headless maven)"; exit 1; }
done
rm -rf "$folder"
mkdir -p "$folder"
mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$folder/jars" > "$folder/log" 2>&1 ||
    { echo "Maven Central gives no jars: $(grep -m1 ERROR "$folder/log" | cut -c1-200)"; exit 1; }
echo "$stamp" > "$folder/stamp"
