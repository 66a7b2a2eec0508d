\getenv tests PG_ABS_SRCDIR
\set fresh :tests '/fresh.psql'
\set hand_made :tests '/hand_made.psql'
\i :fresh
SELECT refused('SELECT * FROM sparkify.validate()');
\set ECHO errors
\i :hand_made
\set ECHO all
-- Before anything is served: nothing is wrong but that it is not there.
SELECT check_name, passed, failures, detail FROM sparkify.validate() WHERE NOT passed;
SELECT sparkify.refresh_recommendations(3);
SELECT check_name, passed, failures, detail FROM sparkify.validate();
-- A change that the next refresh takes up is no failure.
INSERT INTO sparkify.users (user_id) VALUES ('new');
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('ann', 'a2', '2025-02-01'), ('new', 'a1', '2025-02-01');
SELECT count(*) FILTER (WHERE NOT passed) AS failed FROM sparkify.validate();
SELECT sparkify.build_user_vectors();
SELECT check_name, detail FROM sparkify.validate() WHERE NOT passed;
SELECT sparkify.refresh_recommendations(3);
SELECT check_name, detail FROM sparkify.validate() WHERE NOT passed;
-- Nor is a user who has nothing left.
INSERT INTO sparkify.listening_events (user_id, track_id, played_at) VALUES ('tom', 'b3', '2025-02-01');
SELECT sparkify.refresh_recommendations(3);
SELECT check_name, detail FROM sparkify.validate() WHERE NOT passed;
-- Several failures: their number, and the first by id.
DELETE FROM sparkify.tracks WHERE track_id IN ('a3', 'a2', 'z0');
SELECT check_name, failures, detail FROM sparkify.validate() WHERE NOT passed;
-- A model of choice.
INSERT INTO sparkify.models (kind, metric, params) VALUES ('content', 'cosine', '{"dims": 1}');
SELECT check_name, failures, detail FROM sparkify.validate(2) WHERE NOT passed;
SELECT refused('SELECT * FROM sparkify.validate(99)');
-- It only reads.
BEGIN READ ONLY;
SELECT count(*) FROM sparkify.validate(1);
SELECT pg_current_xact_id_if_assigned() IS NULL AS none_assigned;
COMMIT;
-- Nothing at all, but a model.
TRUNCATE sparkify.tracks, sparkify.users, sparkify.listening_events, sparkify.track_embeddings,
    sparkify.user_vectors, sparkify.recommendation_lists;
SELECT check_name, failures, detail FROM sparkify.validate() WHERE NOT passed;
-- A table that is not there.
ALTER TABLE sparkify.recommendation_lists RENAME TO lost;
SELECT check_name, passed, failures, detail FROM sparkify.validate() LIMIT 3;
