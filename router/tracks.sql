CREATE FUNCTION sparkify_internal.is_out_of_reach(code text, message text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    -- PL/Proxy gives every failure of its own one code. Class 08: no connection; 57P: a server that shuts down or starts.
    SELECT code LIKE '08%' OR code LIKE '57P%' OR code = 'XX000' AND message LIKE 'PL/Proxy function %' AND message NOT LIKE '%REMOTE ERROR%'
$$;
COMMENT ON FUNCTION sparkify_internal.is_out_of_reach(text, text) IS 'Whether an error says that a database cannot be reached.';

-- Calls about tracks: every cell has catalogue and models. One that is down is passed by.

CREATE FUNCTION sparkify_internal.similar_tracks_in(cell integer, track_id text, n integer, exclude text[],
    candidates text[], genres text[], distinct_songs boolean, model_id bigint)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, score real)
LANGUAGE plproxy VOLATILE ROWS 10 COST 10000 AS $$
    CLUSTER 'sparkify_cells'; RUN ON cell;
    SELECT * FROM sparkify.similar_tracks($2, $3, $4, $5, $6, $7, $8);
$$;
COMMENT ON FUNCTION sparkify_internal.similar_tracks_in(integer, text, integer, text[], text[], text[], boolean, bigint) IS
    'Part of similar_tracks(): asks one cell.';

CREATE FUNCTION sparkify_internal.similar_tracks_anywhere(asked_track text, n integer, exclude text[],
    candidates text[], genres text[], distinct_songs boolean, asked_model bigint)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, score real)
LANGUAGE plpgsql VOLATILE ROWS 10 COST 10000 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    cells CONSTANT integer := (SELECT count(*) FROM sparkify_internal.cells());
    first CONSTANT integer := sparkify_internal.cell_of(asked_track);
BEGIN
    FOR attempt IN 1..greatest(cells, 1) LOOP
        BEGIN
            RETURN QUERY SELECT * FROM sparkify_internal.similar_tracks_in(first + attempt, asked_track, n, exclude,
                candidates, genres, distinct_songs, asked_model);
            RETURN;
        EXCEPTION WHEN OTHERS THEN
            IF attempt >= cells OR NOT sparkify_internal.is_out_of_reach(SQLSTATE, SQLERRM) THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify_internal.similar_tracks_anywhere(text, integer, text[], text[], text[], boolean, bigint) IS
    'Part of similar_tracks(): asks the cells one by one until one answers.';

CREATE FUNCTION sparkify.similar_tracks(track_id text, n integer DEFAULT 10, exclude text[] DEFAULT NULL,
    candidates text[] DEFAULT NULL, genres text[] DEFAULT NULL, distinct_songs boolean DEFAULT true, model_id bigint DEFAULT NULL)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, score real)
LANGUAGE sql VOLATILE ROWS 10 COST 10000 AS $$
    SELECT * FROM sparkify_internal.similar_tracks_anywhere($1, $2, $3, $4, $5, $6, $7)
$$;
COMMENT ON FUNCTION sparkify.similar_tracks(text, integer, text[], text[], text[], boolean, bigint) IS
    'as in any cell that can be reached.';

CREATE FUNCTION sparkify_internal.recommend_for_in(cell integer, tracks text[], n integer, exclude text[],
    candidates text[], genres text[], distinct_songs boolean, asked_model bigint)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, score real, strategy text, model_id bigint)
LANGUAGE plproxy VOLATILE ROWS 10 COST 10000 AS $$
    CLUSTER 'sparkify_cells'; RUN ON cell;
    SELECT * FROM sparkify.recommend_for($2, $3, $4, $5, $6, $7, $8);
$$;
COMMENT ON FUNCTION sparkify_internal.recommend_for_in(integer, text[], integer, text[], text[], text[], boolean, bigint) IS
    'Part of recommend_for(): asks one cell.';

CREATE FUNCTION sparkify_internal.recommend_for_anywhere(tracks text[], n integer, exclude text[],
    candidates text[], genres text[], distinct_songs boolean, asked_model bigint)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, score real, strategy text, model_id bigint)
LANGUAGE plpgsql VOLATILE ROWS 10 COST 10000 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    cells CONSTANT integer := (SELECT count(*) FROM sparkify_internal.cells());
    first CONSTANT integer := sparkify_internal.cell_of(tracks[cardinality(tracks)]);
BEGIN
    FOR attempt IN 1..greatest(cells, 1) LOOP
        BEGIN
            RETURN QUERY SELECT * FROM sparkify_internal.recommend_for_in(first + attempt, tracks, n, exclude,
                candidates, genres, distinct_songs, asked_model);
            RETURN;
        EXCEPTION WHEN OTHERS THEN
            IF attempt >= cells OR NOT sparkify_internal.is_out_of_reach(SQLSTATE, SQLERRM) THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify_internal.recommend_for_anywhere(text[], integer, text[], text[], text[], boolean, bigint) IS
    'Part of recommend_for(): asks the cells one by one until one answers.';

CREATE FUNCTION sparkify.recommend_for(tracks text[], n integer DEFAULT 10, exclude text[] DEFAULT NULL,
    candidates text[] DEFAULT NULL, genres text[] DEFAULT NULL, distinct_songs boolean DEFAULT true, model_id bigint DEFAULT NULL)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, score real, strategy text, model_id bigint)
LANGUAGE sql VOLATILE ROWS 10 COST 10000 AS $$
    SELECT * FROM sparkify_internal.recommend_for_anywhere($1, $2, $3, $4, $5, $6, $7)
$$;
COMMENT ON FUNCTION sparkify.recommend_for(text[], integer, text[], text[], text[], boolean, bigint) IS
    'as in any cell that can be reached.';

-- Charts: what everybody plays the trainer knows, and what a model holds of it every cell.

CREATE FUNCTION sparkify_internal.popular_tracks_in(cell integer, n integer, since interval, genres text[], country text,
    distinct_songs boolean, model_id bigint)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, listeners bigint, score real)
LANGUAGE plproxy VOLATILE ROWS 10 COST 10000 AS $$
    CLUSTER 'sparkify_cells'; RUN ON cell;
    SELECT * FROM sparkify.popular_tracks($2, $3, $4, $5, $6, $7);
$$;
COMMENT ON FUNCTION sparkify_internal.popular_tracks_in(integer, integer, interval, text[], text, boolean, bigint) IS
    'Part of popular_tracks(): asks one cell.';

CREATE FUNCTION sparkify_internal.popular_tracks_of_all(n integer, since interval, genres text[], country text,
    distinct_songs boolean, model_id bigint)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, listeners bigint, score real)
LANGUAGE plproxy VOLATILE ROWS 10 COST 10000 AS $$
    CLUSTER 'sparkify_catalogue'; RUN ON 0;
    SELECT * FROM sparkify.popular_tracks($1, $2, $3, $4, $5, $6);
$$;
COMMENT ON FUNCTION sparkify_internal.popular_tracks_of_all(integer, interval, text[], text, boolean, bigint) IS
    'Part of popular_tracks(): asks the trainer.';

CREATE FUNCTION sparkify_internal.trending_of_all(n integer, since interval, genres text[], country text)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, listeners bigint, listeners_before bigint, score real)
LANGUAGE plproxy VOLATILE ROWS 10 COST 10000 AS $$
    CLUSTER 'sparkify_catalogue'; RUN ON 0;
    SELECT * FROM sparkify.trending($1, $2, $3, $4);
$$;
COMMENT ON FUNCTION sparkify_internal.trending_of_all(integer, interval, text[], text) IS 'Part of trending(): asks the trainer.';

-- Accounts lie in the cells and plays of all in the trainer: no database can count a country's listeners.
CREATE FUNCTION sparkify_internal.refuse_country(country text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF country IS NOT NULL THEN
        RAISE EXCEPTION 'the listeners of country "%" cannot be counted here', country USING
            ERRCODE = 'feature_not_supported',
            DETAIL = 'The trainer has the plays of all users, and the cells their countries.',
            HINT = 'Leave out country, or call it in a cell for the users of that cell.';
    END IF;
END $$;
COMMENT ON FUNCTION sparkify_internal.refuse_country(text) IS 'Part of popular_tracks() and trending().';

CREATE FUNCTION sparkify_internal.popular_tracks_anywhere(n integer, since interval, genres text[], country text,
    distinct_songs boolean, asked_model bigint)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, listeners bigint, score real)
LANGUAGE plpgsql VOLATILE ROWS 10 COST 10000 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    cells CONSTANT integer := (SELECT count(*) FROM sparkify_internal.cells());
BEGIN
    PERFORM sparkify_internal.refuse_country(country);
    IF since IS NOT NULL THEN
        RETURN QUERY SELECT * FROM sparkify_internal.popular_tracks_of_all(n, since, genres, NULL, distinct_songs, asked_model);
        RETURN;
    END IF;
    FOR attempt IN 1..greatest(cells, 1) LOOP
        BEGIN
            RETURN QUERY SELECT * FROM sparkify_internal.popular_tracks_in(attempt, n, NULL, genres, NULL, distinct_songs, asked_model);
            RETURN;
        EXCEPTION WHEN OTHERS THEN
            IF attempt >= cells OR NOT sparkify_internal.is_out_of_reach(SQLSTATE, SQLERRM) THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION sparkify_internal.popular_tracks_anywhere(integer, interval, text[], text, boolean, bigint) IS
    'Part of popular_tracks(): asks the trainer about plays, and of what a model holds the cells one by one until one answers.';

CREATE FUNCTION sparkify.popular_tracks(n integer DEFAULT 10, since interval DEFAULT NULL, genres text[] DEFAULT NULL,
    country text DEFAULT NULL, distinct_songs boolean DEFAULT true, model_id bigint DEFAULT NULL)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, listeners bigint, score real)
LANGUAGE sql VOLATILE ROWS 10 COST 10000 AS $$
    SELECT * FROM sparkify_internal.popular_tracks_anywhere($1, $2, $3, $4, $5, $6)
$$;
COMMENT ON FUNCTION sparkify.popular_tracks(integer, interval, text[], text, boolean, bigint) IS
    'with since as in the trainer, else as in any cell that can be reached; country is refused.';

CREATE FUNCTION sparkify_internal.trending_anywhere(n integer, since interval, genres text[], country text)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, listeners bigint, listeners_before bigint, score real)
LANGUAGE plpgsql VOLATILE ROWS 10 COST 10000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sparkify_internal.refuse_country(country);
    RETURN QUERY SELECT * FROM sparkify_internal.trending_of_all(n, since, genres, NULL);
END $$;
COMMENT ON FUNCTION sparkify_internal.trending_anywhere(integer, interval, text[], text) IS 'Part of trending(): refuses a country, asks the trainer.';

CREATE FUNCTION sparkify.trending(n integer DEFAULT 10, since interval DEFAULT '7 days', genres text[] DEFAULT NULL, country text DEFAULT NULL)
RETURNS TABLE (rank integer, track_id text, track_name text, primary_artist text, genre text, listeners bigint, listeners_before bigint, score real)
LANGUAGE sql VOLATILE ROWS 10 COST 100000 AS $$
    SELECT * FROM sparkify_internal.trending_anywhere($1, $2, $3, $4)
$$;
COMMENT ON FUNCTION sparkify.trending(integer, interval, text[], text) IS 'as in the trainer; country is refused.';
