\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\i :fresh
-- Every table, view, sequence and function says what it is; a sequence behind an identity column is the table's.
SELECT c.relkind, c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND c.relkind NOT IN ('i', 'I', 't', 'c')
    AND obj_description(c.oid, 'pg_class') IS NULL
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i')
ORDER BY c.relname;
SELECT p.oid::regprocedure FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND obj_description(p.oid, 'pg_proc') IS NULL
ORDER BY p.proname;
SELECT t.typname FROM pg_catalog.pg_type AS t
WHERE t.typnamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND t.typrelid = 0 AND t.typelem = 0
    AND obj_description(t.oid, 'pg_type') IS NULL
ORDER BY t.typname;

-- Functions look nothing up in the caller's schemas. The exceptions: song_key looks nothing up at
-- all, read_played_at names the schema of all it uses, recommend and similar_tracks set the path once a call and not
-- once a row, the imports run a source of the caller's under the caller's path, and a procedure that commits cannot carry the clause.
SELECT p.oid::regprocedure FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND p.prokind = 'f' AND p.proname NOT IN ('song_key', 'read_played_at', 'recommend', 'similar_tracks',
        'import_tracks', 'import_events', 'import_embeddings', 'recommend_for', 'explain_recommendation',
        'popular_tracks', 'trending', 'similar_users')
    AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
ORDER BY p.proname;

-- What reads is stable and never strict: NULL where it is a mistake is an error.
SELECT p.proname, p.provolatile, p.proparallel, p.proisstrict FROM pg_catalog.pg_proc AS p
WHERE p.proname IN ('recommend', 'recommend_json', 'similar_tracks', 'validate', 'song_key',
        'build_embeddings', 'activate_model', 'build_user_vectors', 'refresh_recommendations')
    AND p.pronamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace)
ORDER BY p.proname COLLATE "C";
-- One name, one function: options have defaults.
SELECT p.proname FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace)
GROUP BY p.proname HAVING count(*) > 1;

-- Every table and every sequence is dumped, and none holds a row, but what the extension itself fills.
SELECT c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'S')
    AND c.relname NOT IN ('turns', 'pipeline_lock', 'stated_privileges', 'stated_replication', 'published_model', 'cell_reports')
    AND c.oid <> ALL (SELECT unnest(extconfig) FROM pg_catalog.pg_extension WHERE extname = 'sparkify')
ORDER BY c.relname;
SELECT c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND c.relkind = 'r'
    AND c.relname NOT IN ('turns', 'stated_privileges', 'stated_replication') AND query_to_xml(format('SELECT 1 FROM %s LIMIT 1', c.oid::regclass), false, false, '')::text LIKE '%row%'
ORDER BY c.relname;
-- Ids are compared byte by byte.
SELECT a.attrelid::regclass, a.attname FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND c.relkind = 'r' AND a.attname IN ('track_id', 'user_id')
    AND a.attcollation <> '"C"'::regcollation AND c.relname NOT IN ('raw_tracks', 'rejected_tracks')
ORDER BY 1, 2;
-- A key or foreign key of a table of users names the user: the table can be distributed by user.
SELECT con.conrelid::regclass, con.conname FROM pg_catalog.pg_constraint AS con
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = con.conrelid AND a.attname = 'user_id' AND NOT a.attisdropped
WHERE con.connamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND con.contype IN ('p', 'u', 'f', 'x')
    AND a.attnum <> ALL (con.conkey)
ORDER BY con.conname;

-- It comes and goes without a trace, and comes back; others are let in by GRANT alone.
DROP EXTENSION sparkify;
SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname LIKE 'sparkify%';
-- A schema that stands already belongs to somebody.
CREATE ROLE sparkify_regress_squatter;
CREATE SCHEMA sparkify AUTHORIZATION sparkify_regress_squatter;
CREATE EXTENSION sparkify;
DROP SCHEMA sparkify;
CREATE SCHEMA sparkify_internal AUTHORIZATION sparkify_regress_squatter;
CREATE EXTENSION sparkify;
DROP SCHEMA sparkify_internal;
DROP ROLE sparkify_regress_squatter;
CREATE EXTENSION sparkify;
SELECT extname, extrelocatable, extnamespace::regnamespace FROM pg_catalog.pg_extension WHERE extname = 'sparkify';
CREATE ROLE sparkify_regress_visitor;
SET ROLE sparkify_regress_visitor;
SELECT refused('SELECT * FROM sparkify.tracks');
SELECT refused('SELECT * FROM sparkify.recommend(''ann'')');
RESET ROLE;
DROP ROLE sparkify_regress_visitor;
-- Of every table it is stated whether it travels between a trainer and its cells.
SELECT c.oid::regclass AS unstated FROM pg_catalog.pg_class AS c
WHERE c.relkind IN ('r', 'p') AND (c.relnamespace = 'sparkify'::regnamespace OR c.relnamespace = 'sparkify_internal'::regnamespace
        AND EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname IN ('model_id', 'user_id', 'track_id')))
    AND c.oid NOT IN (SELECT to_regclass(relation) FROM sparkify_internal.stated_replication WHERE to_regclass(relation) IS NOT NULL)
ORDER BY 1;
-- What travels to the trainer is keyed by user or cell, so that no two cells can write the same row.
SELECT s.relation FROM sparkify_internal.stated_replication AS s
WHERE s.way = 'to trainer' AND to_regclass(s.relation) IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = to_regclass(s.relation) AND i.indisprimary AND a.attname IN ('user_id', 'cell'))
ORDER BY 1;
