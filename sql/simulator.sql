-- The listening simulator: the truth it keeps aside, and where its clock stands.

CREATE TABLE sparkify.simulated_tastes (
    user_id        text COLLATE "C" PRIMARY KEY,
    genre_weights  jsonb            NOT NULL CHECK (pg_catalog.jsonb_typeof(genre_weights) = 'object'),
    artist_weights jsonb            NOT NULL CHECK (pg_catalog.jsonb_typeof(artist_weights) = 'object'),
    moods          jsonb            NOT NULL CHECK (pg_catalog.jsonb_typeof(moods) = 'object'),
    activity       double precision NOT NULL,
    rhythm         text             NOT NULL
        CHECK (rhythm IN ('early bird', 'working hours', 'evening', 'night owl')),
    impatience     double precision NOT NULL CHECK (impatience > 0),
    stay           double precision NOT NULL CHECK (stay >= 0),
    arrives_at     timestamptz
);
COMMENT ON TABLE sparkify.simulated_tastes IS
    'What simulated users truly like: no model reads it. Written by generate_users(), and by generate_events(include_real_users => true) for users without one.';
COMMENT ON COLUMN sparkify.simulated_tastes.genre_weights IS
    'Genres and their shares of the listening, before they drift; users.genre_weights is a noisy, partial view of it.';
COMMENT ON COLUMN sparkify.simulated_tastes.artist_weights IS 'Favourite artists and their weights.';
COMMENT ON COLUMN sparkify.simulated_tastes.moods IS
    'Preferred audio features, in standard deviations from the mean of a track''s genre.';
COMMENT ON COLUMN sparkify.simulated_tastes.activity IS
    'Standard score of the logarithm of the plays a day.';
COMMENT ON COLUMN sparkify.simulated_tastes.rhythm IS 'When the user listens most.';
COMMENT ON COLUMN sparkify.simulated_tastes.impatience IS 'Skips for one of a user of the same age.';
COMMENT ON COLUMN sparkify.simulated_tastes.stay IS
    'Time from the arrival to the leaving, as a multiple of its mean.';
COMMENT ON COLUMN sparkify.simulated_tastes.arrives_at IS
    'First moment of listening; NULL until simulated time begins.';

CREATE TABLE sparkify_internal.simulator_state (
    one             boolean     PRIMARY KEY DEFAULT true CHECK (one),
    seed            bigint      NOT NULL,
    options         jsonb       NOT NULL,
    calibration     jsonb       NOT NULL,
    started_at      timestamptz NOT NULL,
    simulated_until timestamptz NOT NULL
);
COMMENT ON TABLE sparkify_internal.simulator_state IS
    'The simulation that runs, at most one row: its seed and options, and the time it has come to.';
COMMENT ON COLUMN sparkify_internal.simulator_state.calibration IS
    'The level of listening and skipping found when simulated time began.';

DO $$
BEGIN
    PERFORM pg_catalog.pg_extension_config_dump('sparkify.simulated_tastes', '');
    PERFORM pg_catalog.pg_extension_config_dump('sparkify_internal.simulator_state', '');
END $$;

COMMENT ON FUNCTION sparkify.generate_users(integer, bigint, double precision, timestamptz) IS
    'Writes the users user_000001 to n (1 to 10,000,000) of a seed that are not there yet, with hidden tastes; undeclared_share (0 to 1) of them declare none. Accounts are opened in a growth that ends at until; while a simulation runs, where its clock stands. Gives the users written.';
COMMENT ON FUNCTION sparkify.generate_events(integer, integer, timestamptz, bigint, timestamptz, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, boolean) IS
    'Simulates listening up to until and gives the events written. The first call starts at since (NULL: days before until); the next go on from where the last stopped and must be given the same options. events_per_user (1 to 100 x days): mean plays of a user over days (1 to 3650). activity_spread (0 to 2): standard deviation of the log of the users'' rates. session_plays (1 to 50): mean plays of a session of a user of two plays a day. weekend_factor (0.1 to 10): plays on a day of the weekend for one on a weekday. doubling_days (1 to 36,500): days in which the users double. monthly_churn (0 to 0.9): share of users who leave within 30 days. popularity_exponent s (0 to 3): plays of the track of rank r among the n of its genre go with (r + 0.3 + 0.004 n)^-s. unplayed_share (0 to 0.95): share of each genre that nobody plays. popularity_drift, taste_drift (0 to 0.95): how far they move. repeat_share (0 to 0.95): plays taken from the user''s discoveries. fade_days (1 to 365): mean age of a discovery when played again. coherence (0 to 1): plays that stay in the session''s genre. skip_rate (0 to 0.9): plays that end before the track. skip_taste (0 to 1.5): how much skips depend on the distance from the taste. Plays are written of simulated users, those that generate_users() made; of all users with include_real_users.';
COMMENT ON FUNCTION sparkify.reset_simulation() IS
    'Deletes the simulated events and forgets where the simulation stood; users and tastes stay. Gives the events deleted.';
COMMENT ON FUNCTION sparkify.is_simulated(uuid) IS
    'Whether an event_id was given by generate_events(): its second half follows from its first.';
COMMENT ON FUNCTION sparkify.simulation_report() IS
    'Measures all events against published figures of listening: target, tolerance (meant for a million events), what was measured (NULL where the events cannot tell) and whether it is within (NULL where there are too few to judge: under 100,000 events, or under 200 users with events).';
ALTER FUNCTION sparkify.simulation_report() ROWS 27;
