#!/bin/sh
# Run once by the image of the Dockerfile beside it: the extension, a small
# catalogue with listeners, a first run of the pipeline, and Grafana's role.
set -e
psql -v ON_ERROR_STOP=1 -v password="$SPARKIFY_DB_PASSWORD" -U postgres -d sparkify <<'SQL'
CREATE EXTENSION sparkify;
SELECT sparkify.generate_tracks(10000);
SELECT sparkify.generate_users(500);
SELECT sparkify.generate_events();
CALL sparkify.run_pipeline();
CREATE ROLE grafana LOGIN PASSWORD :'password';
SELECT sparkify.grant_reader('grafana');
SQL
