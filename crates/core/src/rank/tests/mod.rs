mod cancel;
mod kernel;
mod oracle;

use super::*;

fn build(rows: &[(&str, &[f32], u128)]) -> AlignedBytes {
    let mut builder = IndexBuilder::new(rows[0].1.len()).unwrap();
    for (id, vector, song) in rows {
        builder.push(id, vector, *song, None).unwrap();
    }
    builder.finish(7, &|| ()).unwrap()
}

fn small() -> AlignedBytes {
    build(&[
        ("a", &[3.0, 4.0], 1),
        ("b", &[4.0, 3.0], 2),
        ("c", &[0.0, 0.0], 3),
        ("d", &[-1.0, 0.0], 4),
        ("e", &[8.0, 6.0], 2),
    ])
}

fn rows(image: &AlignedBytes, query: Query) -> Vec<(u32, f64)> {
    let index = Index::open(image).unwrap();
    let ranked = top_n(&index, &query, &|| ()).unwrap();
    ranked.iter().map(|ranked| (ranked.position, ranked.score)).collect()
}

#[test]
fn ranks_by_cosine_then_position() {
    let query = Query { vector: &[1.0, 0.0], n: 9, ..Query::default() };
    assert_eq!(rows(&small(), query), [(1, 0.8), (4, 0.8), (0, 0.6), (2, 0.0), (3, -1.0)]);
}

#[test]
fn a_song_appears_once() {
    let query = Query { vector: &[1.0, 0.0], n: 3, distinct_songs: true, ..Query::default() };
    assert_eq!(rows(&small(), query), [(1, 0.8), (0, 0.6), (2, 0.0)]);
    let query = Query { exclude: &[1], ..query };
    assert_eq!(rows(&small(), query), [(4, 0.8), (0, 0.6), (2, 0.0)]);
    let query = Query { exclude_songs: &[1], ..query };
    assert_eq!(rows(&small(), query), [(0, 0.6), (2, 0.0), (3, -1.0)]);
}

#[test]
fn candidates_bound_the_list() {
    let query =
        Query { vector: &[1.0, 0.0], n: 3, candidates: Some(&[3, 0, 3]), ..Query::default() };
    assert_eq!(rows(&small(), query), [(0, 0.6), (3, -1.0)]);
    assert_eq!(rows(&small(), Query { exclude: &[0, 0], ..query }), [(3, -1.0)]);
    assert_eq!(rows(&small(), Query { candidates: Some(&[]), ..query }), []);
}

#[test]
fn a_zero_query_scores_all_zero() {
    let query = Query { vector: &[0.0, 0.0], n: 2, ..Query::default() };
    assert_eq!(rows(&small(), query), [(0, 0.0), (1, 0.0)]);
}

#[test]
fn the_index_gives_back_what_was_pushed() {
    let mut builder = IndexBuilder::new(3).unwrap();
    builder.push("", &[1.0, 2.0, 2.0], 77, Some(1000)).unwrap();
    builder.push("é", &[0.0, 0.0, 1e-40], 5, None).unwrap();
    builder.push("日本", &[3e38, 0.0, 0.0], 77, Some(-1)).unwrap();
    let image = builder.finish(u128::MAX - 5, &|| ()).unwrap();
    let index = Index::open(&image).unwrap();
    index.verify().unwrap();
    assert_eq!((index.len(), index.dims(), index.songs_len()), (3, 3, 2));
    assert_eq!(index.fingerprint(), u128::MAX - 5);
    assert_eq!([index.id(0), index.id(1), index.id(2)], ["", "é", "日本"]);
    assert_eq!([index.song(0), index.song(1), index.song(2)], [0, 1, 0]);
    assert_eq!(index.duration_ms(0), Some(1000));
    assert_eq!(index.duration_ms(1), None);
    assert_eq!(index.vector(1), [0.0, 0.0, 1e-40]);
    assert_eq!(index.norm(0), 3.0);
    assert_eq!(index.position("日本"), Some(2));
    assert_eq!(index.position(""), Some(0));
    assert_eq!(index.position("日"), None);
    let cosine = |position, vector: &[f32]| {
        score(&index, position, &Query { vector, ..Query::default() }).unwrap()
    };
    assert_eq!(cosine(1, &[0.0, 0.0, 1e-40]), 1.0);
    assert_eq!(cosine(2, &[3e38, 0.0, 0.0]), 1.0);
    assert_eq!(
        (index.metric(), index.listeners(0), index.popular().count()),
        (Metric::Cosine, None, 0)
    );
    assert_eq!((index.neighbours(2), index.state()), ((&[][..], &[][..]), &[][..]));
}

#[test]
fn every_id_is_found() {
    let mut builder = IndexBuilder::new(1).unwrap();
    for number in 0..5000 {
        builder.push(&format!("{number:05}"), &[1.0], number, None).unwrap();
    }
    let image = builder.finish(0, &|| ()).unwrap();
    let index = Index::open(&image).unwrap();
    for number in 0..5000 {
        assert_eq!(index.position(&format!("{number:05}")), Some(number));
    }
    assert_eq!(index.position("5000"), None);

    // Any number of ids at a time, with ids that are not there among them.
    for count in [0, 1, 15, 16, 17, 32, 4999] {
        let ids: Vec<String> = (0..count).map(|at| format!("{:05}", at * 7 % 7000)).collect();
        let mut found = Vec::new();
        index.positions(ids.iter().map(String::as_str), |position| found.push(position));
        let expected = (0..count).map(|at| Some(at * 7 % 7000).filter(|&number| number < 5000));
        assert!(found.into_iter().eq(expected), "{count} ids");
    }
}

#[test]
fn an_empty_index_answers() {
    let image = IndexBuilder::new(4).unwrap().finish(0, &|| ()).unwrap();
    let index = Index::open(&image).unwrap();
    assert!(index.is_empty());
    assert_eq!(index.position("x"), None);
    assert_eq!(
        top_n(&index, &Query { vector: &[1.0; 4], n: 3, ..Query::default() }, &|| ()),
        Ok(vec![])
    );
}

#[test]
fn wrong_input_is_refused() {
    assert!(IndexBuilder::new(0).is_err());
    let mut builder = IndexBuilder::new(2).unwrap();
    builder.push("b", &[1.0, 2.0], 0, None).unwrap();
    for (id, vector) in [
        ("b", &[1.0, 2.0][..]),
        ("a", &[1.0, 2.0]),
        ("c", &[1.0]),
        ("c", &[1.0, f32::NAN]),
        ("c", &[f32::INFINITY, 0.0]),
    ] {
        assert!(matches!(builder.push(id, vector, 0, None), Err(Error::OutOfRange { .. })));
    }
    assert_eq!(builder.len(), 1);
    let image = builder.finish(0, &|| ()).unwrap();
    let index = Index::open(&image).unwrap();
    for vector in [&[1.0][..], &[1.0, f32::NAN]] {
        let query = Query { vector, n: 1, ..Query::default() };
        assert!(matches!(top_n(&index, &query, &|| ()), Err(Error::OutOfRange { .. })));
        assert!(top_n_batch(&index, &[query], 1, &|| ()).is_err());
    }
}

#[test]
fn damaged_images_are_refused() {
    let image = small();
    assert!(Index::open(&[]).is_err());
    assert!(Index::open(&image[..image.len() - 64]).is_err());
    assert!(Index::open(&image[64..]).is_err());
    for at in 0..layout::HEADER_BYTES {
        let mut damaged = AlignedBytes::copy_of(&image).unwrap();
        damaged[at] ^= 1;
        assert!(Index::open(&damaged).is_err(), "byte {at}");
    }
    for at in (layout::HEADER_BYTES..image.len()).step_by(7) {
        let mut damaged = AlignedBytes::copy_of(&image).unwrap();
        damaged[at] ^= 128;
        let index = Index::open(&damaged).unwrap();
        assert!(index.verify().is_err(), "byte {at}");
        assert_eq!(index.position("zz"), None);
    }
}
