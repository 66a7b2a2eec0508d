//! All users at once.

use postgres::Client;
use sparkify_core::rank::{self, Index, Query};

use crate::measure::{Table, Times, thousands};
use crate::reference::{Faiss, Vectors};

/// Everything is measured in turn, so many times.
const ROUNDS: usize = 5;

/// Refreshes every list; after a forced refresh there are old rows to replace.
pub fn refresh(client: &mut Client, force: bool) -> Times {
    let sql = "SELECT sparkify.refresh_recommendations(10, force => $1, threads => 2)";
    Times::of(|| client.query_one(sql, &[&force]).expect("lists"))
}

/// `first` is the refresh that found no rows.
pub fn measure(
    client: &mut Client,
    first: Times,
    vectors: &Vectors,
    mut faiss: Option<&mut Faiss>,
) {
    let image = vectors.pack();
    let index = Index::open(&image).expect("a valid image");
    let queries: Vec<Query> =
        vectors.users().map(|vector| Query { vector, n: 10, ..Query::default() }).collect();
    let mut whole = Times::default();
    let mut first = first;
    let mut scoring = [Times::default(), Times::default()];
    let mut flat = [Times::default(), Times::default()];
    for _ in 0..ROUNDS {
        client
            .batch_execute("TRUNCATE sparkify.user_vectors, sparkify.recommendation_lists")
            .expect("no rows");
        first.append(&mut refresh(client, false));
        whole.append(&mut refresh(client, true));
        for threads in [1, 2] {
            scoring[threads - 1]
                .take(|| rank::top_n_batch(&index, &queries, threads, &|| ()).expect("rows"));
            if let Some(faiss) = &mut faiss {
                flat[threads - 1].extend(faiss.batch(threads));
            }
        }
    }
    let references = match &faiss {
        Some(faiss) => vec![(format!("{}, 2 threads", faiss.version), flat[1].median())],
        None => vec![],
    };
    let title = format!("In batch: {} users, 2 threads", thousands(queries.len()));
    let table = Table::new(&title, references);
    table.row("refresh_recommendations, nothing stored", &first);
    table.row("refresh_recommendations, all lists replaced", &whole);
    for (threads, times) in scoring.iter().enumerate() {
        table.row(&format!("the core's scoring alone, {} thread(s)", threads + 1), times);
    }
    if let Some(faiss) = faiss {
        for (threads, times) in flat.iter().enumerate() {
            table.row(&format!("{} IndexFlatIP, {} thread(s)", faiss.version, threads + 1), times);
        }
    }
    println!("\nPeak memory of the refreshing backend: {}", crate::peak_memory(client));
}
