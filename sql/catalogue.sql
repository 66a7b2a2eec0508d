-- The catalogue: comments and row estimates of its functions.

COMMENT ON FUNCTION sparkify.song_key(text, text[]) IS
    'The same uuid for every version of a song: same name and artists, whatever their spelling in Unicode, letter case, blanks, quotation marks and dashes, the order of the artists, and marks of an edition at the end of the name: a remaster, radio edit, mono, guests. Live, acoustic, remix, instrumental and the like are other songs.';
COMMENT ON FUNCTION sparkify.load_tracks(text, jsonb) IS
    'Copies a CSV file of the server into raw_tracks as a new delivery and returns the number of rows. Header names decide the columns, in any order, those of the common public data sets included; columns maps others, our name to the file''s, null to leave one out. An id, an artist and a name must be there. Needs pg_read_server_files.';
COMMENT ON FUNCTION sparkify.import_tracks(text, jsonb) IS
    'Copies a table, a view or the rows of a query into raw_tracks as a new delivery, with the caller''s rights, and returns the number of rows. Column names as for load_tracks(); arrays and JSON lists of artists and genres are lists.';
COMMENT ON FUNCTION sparkify.clean_tracks() IS
    'Turns all of raw_tracks into typed tracks, one for each id, writes what is new or changed, and returns what was read, refused, dropped, superseded by a newer delivery, merged, written and repaired.';
ALTER FUNCTION sparkify.clean_tracks() ROWS 23;
COMMENT ON FUNCTION sparkify.generate_tracks(integer, bigint) IS
    'Adds the first n tracks of a seed, drawn from statistics of a real catalogue, but for those that stand there already, and returns the number written. Their ids begin with gen_.';

-- Exploratory analysis.
COMMENT ON FUNCTION sparkify.profile_tracks() IS
    'Every column of tracks at a glance: missing, zero and distinct values, quartiles (linear), mean, standard deviation (n - 1) and outliers beyond 1.5 interquartile ranges from the quartiles. For explicit, zeros counts false and mean is the share of true.';
ALTER FUNCTION sparkify.profile_tracks() ROWS 23;
COMMENT ON FUNCTION sparkify.correlate_tracks() IS
    'Pearson correlation of every pair of numeric columns over the n tracks where both are known; NULL where one is constant. Popularity comes first, against each.';
ALTER FUNCTION sparkify.correlate_tracks() ROWS 91;
COMMENT ON FUNCTION sparkify.histogram_tracks(text, integer) IS
    'Histogram of a numeric column in bins of one width: lower <= value < upper, the last bin with its upper edge.';
ALTER FUNCTION sparkify.histogram_tracks(text, integer) ROWS 20;
COMMENT ON FUNCTION sparkify.outlier_tracks(text) IS
    'Tracks whose value lies more than 1.5 interquartile ranges beyond the quartiles of a numeric column, or of each; the farthest first, then by id.';
ALTER FUNCTION sparkify.outlier_tracks(text) ROWS 5000;

CREATE VIEW sparkify.genre_distribution WITH (security_invoker = true) AS
SELECT genre,
       count(*) AS tracks,
       count(*)::double precision / (SELECT nullif(count(*), 0) FROM sparkify.tracks) AS share,
       count(*) FILTER (WHERE genre = primary_genre) AS primary_tracks,
       count(DISTINCT primary_artist) AS primary_artists,
       avg(popularity)::double precision AS mean_popularity
FROM sparkify.tracks, unnest(genres) AS genre
GROUP BY genre;
COMMENT ON VIEW sparkify.genre_distribution IS
    'Genres with their tracks, their share of all tracks (a track may have several genres), the tracks of which each is the primary genre, artists and mean popularity.';

CREATE VIEW sparkify.artist_distribution WITH (security_invoker = true) AS
SELECT artist,
       count(*) AS tracks,
       count(*)::double precision / (SELECT nullif(count(*), 0) FROM sparkify.tracks) AS share,
       count(*) FILTER (WHERE artist = primary_artist) AS primary_tracks,
       count(DISTINCT song_key) AS songs,
       avg(popularity)::double precision AS mean_popularity
FROM sparkify.tracks, LATERAL (SELECT DISTINCT unnest(artists) AS artist) AS credited
GROUP BY artist;
COMMENT ON VIEW sparkify.artist_distribution IS
    'Artists as credited, with their tracks, their share of all tracks, the tracks that credit them first, songs and mean popularity.';
