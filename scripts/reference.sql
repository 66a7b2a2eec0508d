-- Writes docs/reference.md from the comments in a database with the extension:
-- psql -XqAt -f scripts/reference.sql
\set ON_ERROR_STOP on
\echo '# Reference'
\echo
\echo 'Written by `make docs` from the comments in the database, which say the same: `\\df+ sparkify.recommend` in psql,'
\echo '`SELECT * FROM sparkify.help(''model'')` in SQL. Options have names and defaults: `recommend(''ann'', n => 5)`.'
\echo
\echo 'Functions are grouped by who may call them once `grant_reader()` or `grant_writer()` has given a role its part; each'
\echo 'part has those before it, too. Nobody else may do anything.'

SELECT set_config('search_path', 'sparkify, pg_catalog', false) \g /dev/null

WITH stated AS (
    SELECT s.part, s.kind, name::text
    FROM sparkify_internal.stated_privileges AS s, regexp_split_to_table(btrim(s.objects, E' \n'), '\s+') AS name
), parts (number, part, title) AS (
    VALUES (1, 'reader', 'Functions of readers'),
           (2, 'writer', 'Functions of writers (`grant_writer`)'),
           (3, 'operator', 'Functions of operators (`grant_writer`, `operate => true`)'),
           (4, 'owner', 'Functions of the owner')
), functions AS (
    SELECT p.oid, p.proname, p.prokind,
           coalesce((SELECT q.number FROM stated AS s JOIN parts AS q USING (part)
                     WHERE s.kind = 'function' AND to_regproc(s.name) = p.oid LIMIT 1), 4) AS number,
           regexp_replace(replace(pg_get_function_arguments(p.oid), 'IN ', ''), '::("[^"]*"|[a-z ]+)(\[\])?', '', 'g') AS arguments,
           pg_get_function_result(p.oid) AS result,
           obj_description(p.oid, 'pg_proc') AS comment
    FROM pg_proc AS p
    WHERE p.pronamespace = 'sparkify'::regnamespace AND p.prorettype <> 'trigger'::regtype
), entries AS (
    SELECT q.number, '' AS name, format(E'\n## %s', q.title) AS entry FROM parts AS q
    UNION ALL
    SELECT f.number, f.proname,
           format(E'\n### %s\n\n```text\n%s%s(%s)%s\n```\n\n%s', f.proname,
                  CASE f.prokind WHEN 'p' THEN 'CALL ' ELSE '' END, f.proname,
                  -- One option a line where they are many.
                  CASE WHEN length(f.arguments) + length(f.proname) > 100
                       THEN E'\n    ' || regexp_replace(f.arguments, ', (?=[a-z_]+ [a-z])', E',\n    ', 'g') ELSE f.arguments END,
                  CASE WHEN f.result IS NULL OR f.result = 'void' THEN '' ELSE E'\n    -> ' || f.result END,
                  f.comment)
    FROM functions AS f
)
SELECT entry FROM entries ORDER BY number, name COLLATE "C";

\echo
\echo '## Tables and views'
\echo
\echo 'R: a reader may read it; W: a writer may write it. What schema `sparkify_internal` holds is the extension''s own.'

WITH stated AS (
    SELECT s.part, s.privileges, to_regclass(name) AS relation
    FROM sparkify_internal.stated_privileges AS s, regexp_split_to_table(btrim(s.objects, E' \n'), '\s+') AS name
    WHERE s.kind = 'relation'
)
SELECT format(E'\n### %s\n\n%s%s%s. %s\n\n%s', c.relname,
              CASE c.relkind WHEN 'v' THEN 'View' WHEN 'm' THEN 'Materialised view' ELSE 'Table' END,
              CASE WHEN EXISTS (SELECT FROM stated AS s WHERE s.relation = c.oid AND s.part = 'reader') THEN ', R' ELSE '' END,
              CASE WHEN EXISTS (SELECT FROM stated AS s WHERE s.relation = c.oid AND s.part = 'writer') THEN ', W' ELSE '' END,
              obj_description(c.oid, 'pg_class'),
              (SELECT string_agg(format('- `%s` %s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                                        coalesce(': ' || col_description(c.oid, a.attnum), '')), E'\n' ORDER BY a.attnum)
               FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
FROM pg_class AS c
WHERE c.relnamespace = 'sparkify'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
ORDER BY c.relkind = 'v', c.relname COLLATE "C";
