#!/bin/sh
# Runs once, when the primary's data directory is made: the roles that replicate and that measure.
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
  --set=replication="$REPLICATION_PASSWORD" --set=exporter="$EXPORTER_PASSWORD" <<'SQL'
create role replicator login replication password :'replication';
create role exporter login password :'exporter' connection limit 5;
grant pg_monitor to exporter;
create extension pg_stat_statements;
SQL
