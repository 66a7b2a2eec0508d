-- The two schemas. They are made here, not named in the control file: a schema
-- that stands already belongs to somebody, who could put functions into it.

DO $$
DECLARE
    taken text;
BEGIN
    SELECT n.nspname INTO taken FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname IN ('sparkify', 'sparkify_internal') ORDER BY 1 LIMIT 1;
    IF taken IS NOT NULL THEN
        RAISE EXCEPTION 'schema "%" exists already', taken USING
            ERRCODE = 'duplicate_schema',
            DETAIL = 'The extension makes its schemas itself: whoever owns one that was there before could change what runs in it.',
            HINT = pg_catalog.format('Look at what it holds, then rename or drop it: ALTER SCHEMA %I RENAME TO %I.', taken, taken || '_old');
    END IF;
    -- Ids are compared in byte order, and the names of songs folded, as UTF-8.
    IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'database "%" is encoded in %, not in UTF8',
            pg_catalog.current_database(), pg_catalog.getdatabaseencoding() USING
            ERRCODE = 'feature_not_supported',
            HINT = 'Make one with CREATE DATABASE music ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
END $$;

CREATE SCHEMA sparkify;
COMMENT ON SCHEMA sparkify IS 'Music recommendations: what users may call and read.';
CREATE SCHEMA sparkify_internal;
COMMENT ON SCHEMA sparkify_internal IS 'What the extension keeps for itself: notes of changes, totals, the work of triggers and procedures.';

-- Functions of the library are created by their bare names: until the end of the script they belong here.
SELECT pg_catalog.set_config('search_path', 'sparkify, pg_catalog, pg_temp', true);
