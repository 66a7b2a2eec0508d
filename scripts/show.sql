-- Recommendations for whose history was given, else for the user with the most plays.
\set QUIET on
\pset pager off
SELECT user_id FROM sparkify.listening_events GROUP BY user_id ORDER BY user_id = 'you' DESC, count(*) DESC, user_id LIMIT 1 \gset
\echo 'Recommendations for' :user_id:
\pset format aligned
\pset tuples_only off
\pset footer off
\pset null ''
SELECT rank, left(track_name, 40) AS track, left(primary_artist, 28) AS artist, genre, round(score::numeric, 3) AS score
FROM sparkify.recommend(:'user_id');
-- Why the first is there, and how good the model is.
SELECT track_id, track_name FROM sparkify.recommend(:'user_id', 1) \gset
\echo 'Why' :track_name 'is there: what was heard, and its part of the score:'
SELECT coalesce(left(track_name, 40), genre, 'other plays') AS heard, left(primary_artist, 28) AS artist,
       last_played::date, round(part::numeric, 3) AS part
FROM sparkify.explain_recommendation(:'user_id', :'track_id', 5) ORDER BY rank;
\echo 'How good: trained without the last 14 days, and held against what was played in them:'
SET client_min_messages = warning;
-- A few plays cannot tell, and say so: that is no reason to fail.
\set ON_ERROR_STOP off
SELECT subject, plays, metric, k, round(value::numeric, 3) AS value, users
FROM sparkify.evaluate_model() WHERE metric = 'ndcg' AND plays = 'new' ORDER BY value DESC;
