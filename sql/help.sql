-- What there is to call.

CREATE FUNCTION sparkify.help(about text DEFAULT NULL)
RETURNS TABLE (signature text, purpose text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 40 SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE '' END || p.proname || '('
               || regexp_replace(replace(pg_get_function_arguments(p.oid), 'IN ', ''),
                                 '::("[^"]*"|[a-z ]+)(\[\])?', '', 'g')
               || ')',
           substring(obj_description(p.oid, 'pg_proc') FROM '^.*?\.(?= |$)')
    FROM pg_proc AS p
    WHERE p.pronamespace = 'sparkify'::regnamespace AND p.prorettype <> 'trigger'::regtype
        AND (about IS NULL
             OR strpos(lower(p.proname || ' ' || obj_description(p.oid, 'pg_proc')), lower(about)) > 0)
    ORDER BY p.proname
$$;
COMMENT ON FUNCTION sparkify.help(text) IS
    'The functions there are to call, each with its options and what it is for; with about, those whose name or comment holds that text. The whole comment of one is shown by \df+ in psql, and stands in docs/reference.md.';
