-- Recommendations for whose history was given, else for the user with the most plays.
\set QUIET on
\pset pager off
SELECT user_id FROM sparkify.listening_events GROUP BY user_id ORDER BY user_id = 'you' DESC, count(*) DESC, user_id LIMIT 1 \gset
\echo 'Recommendations for' :user_id:
\pset format aligned
\pset tuples_only off
\pset footer off
SELECT rank, left(track_name, 40) AS track, left(primary_artist, 28) AS artist, genre, round(score::numeric, 3) AS score
FROM sparkify.recommend(:'user_id');
