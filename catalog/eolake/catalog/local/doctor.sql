-- What `eolake doctor` asks the database.

-- name: server
select current_setting('server_version') as version, postgis_lib_version() as postgis,
    current_setting('max_connections')::integer as most,
    (select count(*)::integer from pg_stat_activity where backend_type = 'client backend') as used;

-- name: partitions
-- Collections with so many partitions that planning a search gets slow.
select collection, count(*)::integer as n from pgstac.partitions group by collection having count(*) > %(limit)s;
