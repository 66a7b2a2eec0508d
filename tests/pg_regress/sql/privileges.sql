\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\set hand_made :tests '/hand_made.psql'
\i :fresh
\i :hand_made
\set ECHO all
-- What is stated, by object.
CREATE TEMP VIEW stated AS
SELECT s.part, s.kind, trim(privilege) AS privilege, name
FROM sparkify_internal.stated_privileges AS s, regexp_split_to_table(trim(s.objects, E' \n'), '\s+') AS name,
    regexp_split_to_table(s.privileges, ',') AS privilege;
-- Every object has its privilege stated, and what is stated is there.
SELECT p.oid::regprocedure AS unstated FROM pg_proc AS p
WHERE p.pronamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace)
    AND NOT EXISTS (SELECT FROM stated WHERE kind = 'function' AND to_regproc(name) = p.oid)
ORDER BY 1;
SELECT c.oid::regclass AS unstated FROM pg_class AS c
WHERE c.relnamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    AND NOT EXISTS (SELECT FROM stated WHERE kind = 'relation' AND to_regclass(name) = c.oid)
ORDER BY 1;
SELECT DISTINCT name AS missing FROM stated
WHERE CASE kind WHEN 'function' THEN to_regproc(name) IS NULL ELSE to_regclass(name) IS NULL END ORDER BY 1;
-- Nobody else may do anything.
SELECT p.oid::regprocedure AS for_everybody FROM pg_proc AS p, LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
WHERE p.pronamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND a.grantee <> p.proowner
ORDER BY 1;
SELECT c.oid::regclass AS for_everybody FROM pg_class AS c, LATERAL aclexplode(c.relacl) AS a
WHERE c.relnamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace) AND a.grantee <> c.relowner
ORDER BY 1;
-- Definer's rights: only where a reason is written down, never for a function that can be called with a value of a type that others make.
SELECT p.proname, p.prorettype::regtype AS gives, pg_get_function_identity_arguments(p.oid) AS takes
FROM pg_proc AS p WHERE p.prosecdef AND p.pronamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace)
ORDER BY p.proname COLLATE "C";
-- Each trigger function with such rights refuses a table that it was not made for.
SELECT p.proname FROM pg_proc AS p
WHERE p.prosecdef AND p.prorettype = 'trigger'::regtype AND p.prosrc NOT LIKE '%require_table(TG_RELID, %'
    AND p.pronamespace IN ('sparkify'::regnamespace, 'sparkify_internal'::regnamespace)
ORDER BY 1;

-- The parts.
SET client_min_messages = error;
DROP ROLE IF EXISTS sparkify_part_reader, sparkify_part_writer, sparkify_part_operator, sparkify_part_stranger;
RESET client_min_messages;
CREATE ROLE sparkify_part_reader;
CREATE ROLE sparkify_part_writer;
CREATE ROLE sparkify_part_operator;
CREATE ROLE sparkify_part_stranger;
SELECT sparkify.grant_reader('sparkify_part_reader');
SELECT sparkify.grant_writer('sparkify_part_writer');
SELECT sparkify.grant_writer('sparkify_part_operator', operate => true);
-- Each has what is stated for it, and for the parts before it, and nothing else.
SELECT r.role, s.name, s.privilege, r.has FROM (
    SELECT s.*, array_position('{reader,writer,operator,owner}', s.part) AS level FROM stated AS s) AS s
CROSS JOIN LATERAL (
    SELECT role, level, CASE s.kind WHEN 'function' THEN has_function_privilege(role, to_regproc(s.name), s.privilege)
        ELSE CASE WHEN s.privilege = 'USAGE' THEN has_sequence_privilege(role, s.name, 'USAGE')
                  ELSE has_table_privilege(role, s.name, s.privilege) END END AS has
    FROM (VALUES ('sparkify_part_reader', 1), ('sparkify_part_writer', 2), ('sparkify_part_operator', 3),
                 ('sparkify_part_stranger', 0)) AS r (role, level)) AS r
WHERE r.has <> EXISTS (SELECT FROM stated AS o WHERE o.name = s.name AND o.privilege = s.privilege
                       AND array_position('{reader,writer,operator,owner}', o.part) <= r.level)
ORDER BY 1, 2, 3;

-- A reader.
SET ROLE sparkify_part_reader;
SELECT count(*) > 0 AS served FROM sparkify.recommend('ann');
SELECT count(*) > 0 AS served FROM sparkify.recommend('eve');
SELECT count(*) > 0 AS there FROM sparkify.top_artists;
SELECT count(*) > 0 AS there FROM sparkify.recommendation_coverage;
SELECT refused('INSERT INTO sparkify.users (user_id) VALUES (''x'')');
SELECT refused('SELECT sparkify.refresh_summaries()');
SELECT refused('SELECT * FROM sparkify.rejected_events');
SELECT refused('SELECT * FROM sparkify_internal.play_totals');
SELECT refused('SELECT sparkify_internal.lock_pipeline()');
SELECT refused('SELECT FROM sparkify_internal.turns FOR UPDATE');
SELECT refused('LOCK TABLE sparkify_internal.pipeline_lock IN EXCLUSIVE MODE');
SELECT refused('SELECT sparkify.grant_writer(''sparkify_part_reader'')');
RESET ROLE;
-- A writer.
SET ROLE sparkify_part_writer;
SELECT * FROM sparkify.ingest_events('[{"user_id": "wes", "track_id": "a1", "played_at": "2025-03-01T00:00:00Z"}, {"user_id": "wes"}]');
SELECT refused('SELECT sparkify.build_embeddings()');
SELECT refused('UPDATE sparkify.models SET active = false');
SELECT refused('DELETE FROM sparkify_internal.changed_users');
SELECT * FROM sparkify.forget_user('wes');
SELECT refused('SELECT sparkify.forget_user(NULL)');
RESET ROLE;
-- An operator.
SET ROLE sparkify_part_operator;
SELECT sparkify.build_embeddings(1) > 0 AS built;
SELECT sparkify.refresh_recommendations() > 0 AS stored;
SELECT sparkify.refresh_summaries() > 0 AS folded;
SELECT sparkify_internal.lock_pipeline();
SELECT sparkify_internal.unlock_pipeline();
RESET ROLE;

-- A table of somebody's own with a hostile cast: the trigger functions cannot be put on it.
GRANT USAGE ON SCHEMA sparkify, sparkify_internal TO sparkify_part_stranger;
SET ROLE sparkify_part_stranger;
CREATE TYPE pg_temp.evil AS (x integer);
CREATE FUNCTION pg_temp.run(pg_temp.evil) RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
CREATE CAST (pg_temp.evil AS text) WITH FUNCTION pg_temp.run(pg_temp.evil) AS ASSIGNMENT;
CREATE TEMP TABLE bait (user_id pg_temp.evil, model_id bigint, track_id pg_temp.evil, track_ids text[], played_at timestamptz, skipped boolean);
\set VERBOSITY terse
SELECT format('CREATE TRIGGER t AFTER INSERT ON bait REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION %s()', p.oid::regproc)
FROM pg_proc AS p WHERE p.pronamespace = 'sparkify_internal'::regnamespace AND p.prorettype = 'trigger'::regtype ORDER BY p.proname COLLATE "C" \gexec
RESET ROLE;
-- Nor by the owner, by mistake.
SELECT format('CREATE TRIGGER t AFTER INSERT ON pg_temp.bait REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION %s()', p.oid::regproc),
    'INSERT INTO pg_temp.bait (model_id) VALUES (1)', 'DROP TRIGGER t ON pg_temp.bait'
FROM pg_proc AS p WHERE p.pronamespace = 'sparkify_internal'::regnamespace AND p.prorettype = 'trigger'::regtype ORDER BY p.proname COLLATE "C" \gexec
\set VERBOSITY default
DROP TABLE pg_temp.bait;

-- The undo leaves nothing.
REVOKE USAGE ON SCHEMA sparkify, sparkify_internal FROM sparkify_part_stranger;
SELECT sparkify.revoke_access('sparkify_part_reader'), sparkify.revoke_access('sparkify_part_writer'), sparkify.revoke_access('sparkify_part_operator');
SELECT sparkify.revoke_access('sparkify_part_nobody');
SELECT count(*) FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole WHERE r.rolname LIKE 'sparkify_part_%';
SELECT sparkify.grant_reader(NULL);
SELECT sparkify.grant_writer('sparkify_part_reader', NULL);
-- A reader who becomes a writer may write; a writer who becomes a reader stays one.
SELECT sparkify.grant_reader('sparkify_part_reader');
SELECT sparkify.grant_writer('sparkify_part_reader');
SELECT sparkify.grant_reader('sparkify_part_reader', '5 seconds');
SELECT unnest(setconfig) FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole WHERE r.rolname = 'sparkify_part_reader' ORDER BY 1;
SELECT sparkify.revoke_access('sparkify_part_reader');
SET client_min_messages = warning;
DROP OWNED BY sparkify_part_stranger CASCADE;
DROP ROLE sparkify_part_reader, sparkify_part_writer, sparkify_part_operator, sparkify_part_stranger;
