//! Values at and beyond the limits of every type, as SQL.

use crate::random::Random;

const TEXTS: [&str; 34] = [
    "''",
    "' '",
    "'user 3'",
    "'user 17'",
    "'track 5'",
    "'track 42'",
    "'genre 3'",
    "'GENRE 3'",
    "'postgres'",
    "'energy'",
    "'nobody'",
    "'sparkify.tracks'",
    "'pg_temp'",
    "'a''b\"c\\d'",
    "'%s%n%1$s'",
    "'); DROP TABLE sparkify.tracks; --'",
    "E'\\n\\r\\t'",
    "chr(1)",
    "chr(127)",
    "chr(1114111)",
    "U&'\\FFFD\\FEFF\\200B'",
    "U&'\\202Eabc'",
    "U&'I\\0307\\0130\\00DF'",
    "U&'e\\0301\\0301\\0301\\0301'",
    "U&'\\+01F469\\200D\\+01F469\\200D\\+01F467'",
    "'NaN'",
    "'1e400'",
    "'/etc/passwd'",
    "'/dev/zero'",
    "'/proc/self/mem'",
    "'../../../etc'",
    "repeat('x', 3000)",
    "repeat(U&'\\0130', 200000)",
    "repeat('a - remastered (', 20000)",
];
const INTEGERS: [&str; 18] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "5",
    "10",
    "63",
    "64",
    "65",
    "100",
    "999",
    "1000",
    "1001",
    "16000",
    "16001",
    "2147483647",
    "-2147483648",
];
const BIGINTS: [&str; 6] =
    ["1", "2", "9223372036854775807", "'-9223372036854775808'", "4294967296", "-42"];
const FLOATS: [&str; 17] = [
    "0",
    "'-0'",
    "1",
    "0.5",
    "-1",
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "1e308",
    "-1e308",
    "4.9e-324",
    "1e-300",
    "0.9",
    "30",
    "2",
    "365",
    "1.0000001",
];
const TIMES: [&str; 10] = [
    "'infinity'",
    "'-infinity'",
    "'4713-01-01 00:00 BC'",
    "'294276-12-31 23:59:59.999999 UTC'",
    "'1970-01-01 UTC'",
    "'1969-12-31 23:59:59.999999 UTC'",
    "'2200-01-01 UTC'",
    "'2026-01-01 UTC'",
    "now()",
    "now() + interval '1 hour'",
];
const INTERVALS: [&str; 8] = [
    "'0'",
    "'-1 day'",
    "'1 microsecond'",
    "'30 seconds'",
    "'1 day'",
    "'1000 years'",
    "'178000000 years'",
    "'-178000000 years'",
];
const UUIDS: [&str; 4] = [
    "'00000000-0000-0000-0000-000000000000'",
    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    "gen_random_uuid()",
    "md5('u')",
];
const ARRAYS: [&str; 12] = [
    "'{}'",
    "'{NULL}'",
    "'{NULL,NULL,\"\"}'",
    "'{{1,2},{3,4}}'",
    "'{{{1}},{{2}}}'",
    "'[5:6]={1,2}'",
    "'[-2147483647:-2147483646]={1,2}'",
    "'{1}'",
    "'{1,1,1,2}'",
    "array_fill('7'::text, ARRAY[30000])::text",
    "array_fill(NULL::text, ARRAY[100, 100])::text",
    "'{0,1,-1}'",
];

/// A JSON value, as SQL of type `jsonb`.
fn json(random: &mut Random) -> String {
    const SCALARS: [&str; 16] = [
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "1e400",
        "-1e400",
        "1e-400",
        "1e100000",
        "2147483648",
        "\"\"",
        "\"user 3\"",
        "\"track 5\"",
        "\"2026-01-01T00:00:00Z\"",
        "\"\\ud83d\\ude00\\u200d\"",
        "\"294277-01-01T00:00:00Z\"",
    ];
    const NAMES: [&str; 9] = [
        "user_id",
        "track_id",
        "played_at",
        "ms_played",
        "skipped",
        "session_id",
        "event_id",
        "x",
        "",
    ];
    let scalar = |random: &mut Random| random.pick(&SCALARS).to_owned();
    let object = |random: &mut Random| {
        let fields: Vec<String> = (0..random.below(8))
            .map(|_| format!("\"{}\": {}", random.pick(&NAMES), random.pick(&SCALARS)))
            .collect();
        format!("{{{}}}", fields.join(", "))
    };
    let event = |random: &mut Random| {
        format!(
            "{{\"user_id\": \"user {}\", \"track_id\": \"track {}\", \"played_at\": \"2026-0{}-01T00:00:00Z\", \"ms_played\": {}}}",
            random.below(80),
            random.below(400),
            1 + random.below(9),
            random.pick(&SCALARS)
        )
    };
    match random.below(9) {
        0 => format!("'{}'", scalar(random)),
        1 => format!("'{}'", object(random)),
        2 => {
            let depth = 1 + random.below(4000);
            format!("(repeat('[', {depth}) || repeat(']', {depth}))")
        }
        3 => {
            let depth = 1 + random.below(2000);
            format!("(repeat('{{\"a\":', {depth}) || '1' || repeat('}}', {depth}))")
        }
        4 => {
            format!("(SELECT jsonb_agg('{}'::jsonb) FROM generate_series(1, 3000))", object(random))
        }
        5 | 6 => {
            let events: Vec<String> = (0..random.below(20)).map(|_| event(random)).collect();
            format!("'[{}]'", events.join(", "))
        }
        7 => format!("'[{}, {}]'", object(random), event(random)),
        _ => format!("to_jsonb({}::text)", random.pick(&TEXTS)),
    }
}

/// A value of a type, NULL now and then; the type is named as `format_type` does.
pub fn value(random: &mut Random, kind: &str) -> String {
    if random.once_in(12) {
        return format!("NULL::{kind}");
    }
    if let Some(element) = kind.strip_suffix("[]") {
        return array(random, element);
    }
    let of = match kind {
        "smallint" | "integer" => random.pick(&INTEGERS),
        "bigint" if random.once_in(2) => random.pick(&INTEGERS),
        "bigint" => random.pick(&BIGINTS),
        "real" if random.once_in(2) => random.pick(&["0", "1", "'NaN'", "'Infinity'", "3e38"]),
        "real" => random.pick(&INTEGERS),
        "double precision" | "numeric" => random.pick(&FLOATS),
        "boolean" => random.pick(&["true", "false"]),
        "timestamp with time zone" | "timestamp without time zone" | "date" => random.pick(&TIMES),
        "interval" => random.pick(&INTERVALS),
        "uuid" => random.pick(&UUIDS),
        "json" | "jsonb" => return format!("({})::{kind}", json(random)),
        "regclass" => {
            random.pick(&["'sparkify.tracks'", "'pg_class'", "0::oid", "4000000000::oid"])
        }
        "xid" | "oid" => random.pick(&["'0'", "'3'", "'4294967295'"]),
        "bytea" => random.pick(&["''", "'\\x00ff'", "decode(repeat('00', 100000), 'hex')"]),
        _ => random.pick(&TEXTS),
    };
    format!("({of})::{kind}")
}

fn array(random: &mut Random, element: &str) -> String {
    match random.below(4) {
        0 => {
            let values: Vec<String> =
                (0..random.below(6)).map(|_| value(random, element)).collect();
            format!("ARRAY[{}]::{element}[]", values.join(", "))
        }
        1 if element == "text" => {
            format!("ARRAY['track {}', 'genre {}', NULL]", random.below(400), random.below(20))
        }
        _ => format!("({})::{element}[]", random.pick(&ARRAYS)),
    }
}

/// A statement that leaves a row which no sound source would deliver; it may be refused.
pub fn hostile_row(random: &mut Random) -> String {
    let id = random.below(400);
    let text = |random: &mut Random| value(random, "text");
    match random.below(9) {
        0 => format!(
            "UPDATE sparkify.users SET genre_weights = {} WHERE user_id = 'user {}'",
            value(random, "jsonb"),
            1 + id % 60
        ),
        1 => format!(
            "UPDATE sparkify.tracks SET genres = {} WHERE track_id = 'track {id}'",
            value(random, "text[]")
        ),
        2 => format!(
            "UPDATE sparkify.tracks SET artists = {} WHERE track_id = 'track {id}'",
            value(random, "text[]")
        ),
        3 => format!(
            "UPDATE sparkify.track_embeddings SET embedding = {} WHERE track_id = 'track {id}'",
            value(random, "real[]")
        ),
        4 => format!(
            "INSERT INTO sparkify.listening_events (user_id, track_id, played_at, ms_played)
             VALUES ({}, {}, {}, {})",
            text(random),
            text(random),
            value(random, "timestamp with time zone"),
            value(random, "integer")
        ),
        5 => format!(
            "INSERT INTO sparkify.raw_tracks (track_id, artists, track_name, track_genre, tempo, popularity)
             VALUES ({}, {}, {}, {}, {}, {})",
            text(random),
            text(random),
            text(random),
            text(random),
            text(random),
            text(random)
        ),
        6 => format!(
            "UPDATE sparkify.models SET params = {}, metrics = {}",
            value(random, "jsonb"),
            value(random, "jsonb")
        ),
        7 => format!(
            "INSERT INTO sparkify.users (user_id, genre_weights) VALUES ({}, {})",
            text(random),
            value(random, "jsonb")
        ),
        _ => format!("DELETE FROM sparkify.tracks WHERE track_id LIKE 'track {}%'", random.below(10)),
    }
}
