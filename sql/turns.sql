-- Work of which the database does one at a time.
--
-- Whoever works updates the row of the work: others wait for the end of the
-- transaction, and one whose snapshot is older than the last turn (repeatable
-- read, serializable) is told by a serialization failure to try again. Advisory
-- locks would do neither, and anybody could hold them; a row is locked by those
-- alone who may update it.

CREATE TABLE sparkify_internal.turns (
    work  text   PRIMARY KEY,
    taken bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE sparkify_internal.turns IS
    'Work of which one at a time is done: activation of a model, refresh of recommendations, of summaries, changes of the catalogue, the simulation. Locked, and counted on, by whoever does it.';
INSERT INTO sparkify_internal.turns (work) VALUES
    ('activation'), ('refresh'), ('summaries'), ('catalogue'), ('simulation');

-- Held for a whole run of the pipeline, over its commits: see lock_pipeline().
CREATE TABLE sparkify_internal.pipeline_lock ();
COMMENT ON TABLE sparkify_internal.pipeline_lock IS
    'Always empty: the session that runs the pipeline holds a lock on it.';
