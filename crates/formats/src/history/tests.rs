use proptest::prelude::*;

use super::*;

const LATEST: i64 = 1_900_000_000_000_000;
/// 2026-10-01 08:00 UTC.
const EIGHT: i64 = 1_790_841_600_000_000;

/// What a history holds, a line a record.
fn lines(text: &str, format: Format) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let options = Options { format, user_id: "me", latest: LATEST };
    let mut each = |item: Item| {
        all.push(match item {
            Item::Play(play) => format!(
                "{} {} {} {}{} {} {}",
                play.track_id.unwrap_or("-"),
                play.track_name.unwrap_or("-"),
                play.artist.unwrap_or("-"),
                (play.played_at - EIGHT) / 1_000_000,
                if play.to_the_minute { "m" } else { "" },
                play.ms_played.map_or("-".into(), |ms| ms.to_string()),
                match play.skipped {
                    Some(true) => "skipped",
                    Some(false) => "heard",
                    None => "-",
                }
            ),
            Item::PassedOver => "passed over".to_owned(),
            Item::Rejected { reason, .. } => reason,
        });
    };
    read(text.as_bytes(), &options, &mut each).map_err(|fault| format!("{fault:?}"))?;
    Ok(all)
}

fn auto(text: &str) -> Vec<String> {
    lines(text, Format::Auto).unwrap()
}

#[test]
fn extended_history_of_spotify() {
    let text = r#"[
        {"ts": "2026-10-01T08:00:30Z", "username": "x", "ip_addr_decrypted": "192.0.2.1", "ms_played": 200000,
         "master_metadata_track_name": "Snow \u00e9", "master_metadata_album_artist_name": "Ada",
         "spotify_track_uri": "spotify:track:t1", "episode_name": null, "reason_end": "trackdone", "skipped": null},
        {"ts": "2026-10-01T08:01:00Z", "ms_played": 0, "master_metadata_track_name": "B",
         "master_metadata_album_artist_name": "Ada", "spotify_track_uri": "spotify:track:t2", "skipped": false},
        {"ts": "2026-10-01T08:02:00Z", "ms_played": 9, "master_metadata_track_name": null,
         "spotify_track_uri": null, "episode_name": "E", "spotify_episode_uri": "spotify:episode:e"},
        {"ts": "2026-10-01T08:03:00Z", "ms_played": 9, "master_metadata_track_name": "L",
         "master_metadata_album_artist_name": "Me", "spotify_track_uri": "spotify:local:Me:X:L:9", "reason_end": "fwdbtn"},
        {"ts": "soon", "ms_played": 1, "spotify_track_uri": "spotify:track:t3"},
        {"ts": "2026-10-01T08:03:00Z", "ms_played": -1, "spotify_track_uri": "spotify:track:t3"},
        {"ts": "2099-10-01T08:03:00Z", "spotify_track_uri": "spotify:track:t3"},
        {"ts": "2026-10-01T08:03:00Z", "ts": 1},
        {"ts": nonsense}
    ]"#;
    let read = auto(text);
    assert_eq!(
        read[..7],
        [
            "t1 Snow é Ada 30 200000 heard",
            "t2 B Ada 60 0 skipped",
            "passed over",
            "- L Me 180 9 skipped",
            "played_at must be a date and time, not \"soon\"",
            "ms_played must be a whole number from 0 to 2147483647, not -1",
            "played_at lies more than a day ahead",
        ]
    );
    assert!(
        read[7].starts_with("the object on line 14 is no JSON: duplicate field"),
        "{}",
        read[7]
    );
    assert!(read[8].starts_with("the object on line 15 is no JSON"), "{}", read[8]);
}

#[test]
fn account_data_of_spotify() {
    let text = r#"[{"endTime": "2026-10-01 08:04", "artistName": "Ada", "trackName": "Snow", "msPlayed": 0},
        {"endTime": "2026-10-01 08:05", "podcastName": "P", "episodeName": "E", "msPlayed": 5},
        {"endTime": "2026-10-01 08:06", "trackName": "Snow", "msPlayed": 5}]"#;
    assert_eq!(auto(text), ["- Snow Ada 240m 0 skipped", "passed over", "the artist is missing"]);
}

#[test]
fn listens_of_listenbrainz() {
    let text = r#"{"listened_at": 1790841601, "user_name": "x", "track_metadata": {"track_name": "Snow", "artist_name": "Ada feat. Ben", "additional_info": {"duration_ms": 200000, "spotify_id": null}}}
        {"listened_at": 1790841602, "track_metadata": {"track_name": "B", "artist_name": "Ada", "additional_info": {"spotify_id": "https://open.spotify.com/track/t2", "duration_played": 12}}}
        {"track_metadata": {"track_name": "Now", "artist_name": "Ada"}}
        {"listened_at": 0, "track_metadata": {"track_name": "B", "artist_name": "Ada"}}
        {"listened_at": 1790841603, "track_metadata": {"track_name": "", "artist_name": "Ada", "additional_info": {"origin_url": "https://example.org/track/1"}}}"#;
    assert_eq!(
        auto(text),
        [
            "- Snow Ada feat. Ben 1 - -",
            "t2 B Ada 2 12000 -",
            "passed over",
            "played_at lies before 1970-01-02",
            "the track is missing"
        ]
    );
}

#[test]
fn scrobbles_of_lastfm() {
    let header = "\u{feff}\"uts\",\"utc_time\",\"artist\",\"artist_mbid\",\"album\",\"album_mbid\",\"track\",\"track_mbid\"\n\
        \"1790841600\",\"01 Oct 2026, 08:00\",\"Ada\",\"\",\"A\",\"\",\"None\",\"\"\n";
    assert_eq!(auto(header), ["- None Ada 0 - -"]);
    let dates = "Artist,Album,Track,Date\nAda,A,Snow,01 Oct 2026 08:01\nAda,A,Snow,\n";
    assert_eq!(auto(dates), ["- Snow Ada 60m - -", "played_at is missing"]);
    let bare = "Ada,A,Snow,01 Oct 2026 08:02\n\"B, C\",,Ghost,\"01 Oct 2026, 08:03\"\n";
    assert_eq!(auto(bare), ["- Snow Ada 120m - -", "- Ghost B, C 180m - -"]);
}

#[test]
fn events_as_they_stand() {
    let csv = "user_id;track_id;played_at;ms_played;skipped;event_id\nme;t1;2026-10-01T08:00:05Z;7;TRUE;\n\
        you;t1;2026-10-01T08:00:05Z;7;;\nme;t1;2026-10-01T08:00:05Z;7;;zz\nme;;1790841600;;;\n";
    let expected = [
        "t1 - - 5 7 skipped",
        "passed over",
        "event_id must be a uuid, not \"zz\"",
        "the track is missing",
    ];
    assert_eq!(auto(csv), expected);
    let json = r#"[{"track_id": "t1", "played_at": "2026-10-01T08:00:05Z", "skipped": true, "session_id": "s"},
        {"user_id": "you", "track_id": "t1", "played_at": 5}]"#;
    assert_eq!(auto(json), ["t1 - - 5 - skipped", "passed over"]);
}

#[test]
fn what_is_no_history() {
    for (text, fault) in [
        ("{\"a\": 1}", "Unknown(\"{\\\"a\\\": 1}\")"),
        ("a,b,c\n1,2,3\n", "Unknown(\"a,b,c\")"),
        ("artist,track\nA,B\n", "Unknown(\"artist,track\")"),
        ("[{\"ts\": 1}", ""),
        ("[{\"ts\": ", "Objects(Unfinished(1))"),
        ("PK\u{3}\u{4}", "Kind("),
    ] {
        let read = lines(text, Format::Auto);
        assert!(
            read.clone().map_or_else(|error| error.starts_with(fault), |_| fault.is_empty()),
            "{text} {read:?}"
        );
    }
    assert_eq!(auto(""), [""; 0]);
    assert_eq!(auto("[]"), [""; 0]);
    let wrong = lines(
        "[{\"endTime\": \"2026-10-01 08:04\", \"artistName\": \"A\", \"trackName\": \"S\"}]",
        Format::Lastfm,
    );
    assert_eq!(wrong.unwrap(), ["this is not written as \"lastfm\" histories are"]);
    assert!(lines("artist,track,date\nA,B,1790841600\n", Format::ListenBrainz).is_err());
}

#[test]
fn what_of_a_delivery_is_read() {
    for (name, history) in [
        ("Spotify Extended Streaming History/Streaming_History_Audio_2019-2021_1.json", true),
        ("MyData/endsong_0.json", true),
        ("StreamingHistory_music_0.json", true),
        ("Spotify Account Data/StreamingHistory0.json", true),
        ("Spotify Account Data/Identity.json", false),
        ("Spotify Account Data/Playlist1.json", false),
        ("listens/2026/10.jsonl", true),
        ("feedback.jsonl", false),
        ("scrobbles.csv", true),
        ("ReadMeFirst.pdf", false),
        ("__MACOSX/._endsong_0.json", false),
        ("endsong", false),
    ] {
        assert_eq!(is_history(name), history, "{name}");
    }
}

#[test]
fn a_zip_as_delivered() {
    use std::io::{Cursor, Write};
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in [
        (
            "D/endsong_1.json",
            "[{\"ts\": \"2026-10-01T08:00:30Z\", \"spotify_track_uri\": \"spotify:track:b\"}]",
        ),
        ("D/ReadMe.pdf", "%PDF"),
        ("D/endsong_0.json", "[]"),
    ] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    let mut archive = Archive::open(Cursor::new(&bytes)).unwrap();
    assert_eq!(
        (archive.len(), archive.name(0), archive.name(1)),
        (2, "D/endsong_0.json", "D/endsong_1.json")
    );
    let options = Options { format: Format::Auto, user_id: "me", latest: LATEST };
    let mut plays = 0;
    read(archive.read(1).unwrap(), &options, &mut |item| {
        plays += u32::from(matches!(item, Item::Play(_)))
    })
    .unwrap();
    assert_eq!(plays, 1);
    assert!(Archive::open(Cursor::new(&bytes[..bytes.len() - 30])).is_err());
}

proptest! {
    #[test]
    fn nothing_is_too_strange(text in "\\PC{0,60}|[\\[\\]{}\",:a-z0-9\n]{0,60}") {
        let _ = lines(&text, Format::Auto);
    }
}
