//! How long a cancelled statement goes on.

use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

/// From the cancel's arrival at the server to the error at the client, for a cancel sent
/// this long after the statement; `None` where the statement had ended before.
pub fn cancel(client: &mut Client, statement: &str, after: Duration) -> Option<Duration> {
    let token = client.cancel_token();
    let cancelling = std::thread::spawn(move || {
        std::thread::sleep(after);
        // The server closes the connection once the signal is sent.
        token.cancel_query(NoTls).expect("a cancel is sent");
        Instant::now()
    });
    let cancelled = client.batch_execute(statement).is_err();
    let end = Instant::now();
    let sent = cancelling.join().expect("the cancelling thread");
    cancelled.then(|| end.saturating_duration_since(sent))
}
