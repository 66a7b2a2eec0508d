//! A trainer, its cells and a router, each on a server of its own.

use postgres::Client;

use crate::Server;
use crate::data::fill;
use crate::gate::wait_until;

/// What servers need that take part in logical replication.
const CONFIGURATION: [&str; 7] = [
    "wal_level = logical",
    "max_replication_slots = 30",
    "max_wal_senders = 30",
    "max_worker_processes = 30",
    "max_logical_replication_workers = 20",
    "wal_retrieve_retry_interval = 200ms",
    "max_slot_wal_keep_size = 1GB",
];

/// A server with one database, that takes part.
pub struct Member {
    /// Where it runs.
    pub server: Server,
    /// The name of its database, and of the cell.
    pub name: String,
}

impl Member {
    /// A new server with a database that has the extension.
    pub fn new(name: &str) -> Member {
        let member = Member { server: Server::start(&CONFIGURATION), name: name.to_owned() };
        member.server.database(name).connect().batch_execute("CREATE EXTENSION dblink").unwrap();
        member
    }

    /// A connection as the superuser.
    pub fn connect(&self) -> Client {
        self.server.connect_as(&self.name, "postgres")
    }

    /// The connection string for the router.
    pub fn route(&self) -> String {
        format!("host={} dbname={} connect_timeout=5", self.server.socket.display(), self.name)
    }

    /// The connection string for replication.
    pub fn string(&self) -> String {
        format!("{} user=postgres", self.route())
    }

    /// Kills the server as nothing can refuse.
    pub fn kill(&self) {
        self.server.kill(self.server.postmaster());
    }

    /// Starts the server again when the processes of the former one are gone.
    pub fn revive(&self) {
        wait_until("the server starts again", || self.server.try_resume());
    }
}

/// Whether this server has what a router is made of.
pub fn has_router() -> bool {
    let server = Server::shared();
    let mut client = server.connect_as("postgres", "postgres");
    let there: i64 = client
        .query_one(
            "SELECT count(*) FROM pg_available_extensions WHERE name IN ('plproxy', 'postgres_fdw', 'dblink', 'sparkify_router')",
            &[],
        )
        .unwrap()
        .get(0);
    there == 4
}

/// A trainer, cells and a router, and the same music in one plain database.
pub struct Cells {
    /// Has the catalogue, the models and all plays.
    pub trainer: Member,
    /// Have the users.
    pub cells: Vec<Member>,
    /// Routes.
    pub router: Server,
    /// A database that stands alone.
    pub plain: Member,
}

impl Cells {
    /// Splits a filled database over `n` cells.
    pub fn split(n: usize, tracks: usize, users: usize) -> Cells {
        let trainer = Member::new("trainer");
        let plain = Member::new("plain");
        for member in [&trainer, &plain] {
            let mut client = member.connect();
            fill(&mut client, tracks, users);
            // One track far from all others.
            client
                .batch_execute(
                    "UPDATE sparkify.tracks SET tempo = 900 WHERE track_id = 'track 11';
                    SELECT sparkify.build_embeddings(8)",
                )
                .unwrap();
        }
        let mut client = trainer.connect();
        client.batch_execute("CALL sparkify.make_trainer()").unwrap();
        let cells: Vec<Member> = (0..n).map(|i| Member::new(&format!("cell_{i}"))).collect();
        for (i, cell) in cells.iter().enumerate() {
            let mut client = cell.connect();
            join(&mut client, &trainer, cell);
            client
                .batch_execute(&format!(
                    "CALL sparkify.follow_users('{}', {i}, {n})",
                    trainer.string()
                ))
                .unwrap();
            client.batch_execute(MINUTE).unwrap();
        }
        for cell in &cells {
            cell.connect()
                .batch_execute(&format!("CALL sparkify.take_users('{}')", cell.string()))
                .unwrap();
        }
        // Accounts are the cells' now, plays stay.
        client.batch_execute("TRUNCATE sparkify.users").unwrap();
        let router = Server::start(&[]);
        router
            .empty_database("router")
            .connect()
            .batch_execute("CREATE EXTENSION sparkify_router CASCADE")
            .unwrap();
        let cells = Cells { trainer, cells, router, plain };
        cells.route();
        cells
    }

    /// Lets the router follow where the cells are.
    pub fn route(&self) {
        let routes: Vec<String> = self.cells.iter().map(Member::route).collect();
        self.door()
            .execute("CALL sparkify.make_router($1, $2)", &[&routes, &self.trainer.route()])
            .unwrap();
    }

    /// A connection to the router.
    pub fn door(&self) -> Client {
        self.router.connect_as("router", "postgres")
    }

    /// Waits until the trainer has every play that the cells have.
    pub fn wait_for_plays(&self) {
        let mut trainer = self.trainer.connect();
        let mut cells: Vec<Client> = self.cells.iter().map(Member::connect).collect();
        wait_until("the trainer has the cells' plays", || {
            let there: i64 = cells.iter_mut().map(|cell| number(cell, PLAYS)).sum();
            number(&mut trainer, PLAYS) == there
        });
    }
}

/// Joins a cell to a trainer.
pub fn join(client: &mut Client, trainer: &Member, cell: &Member) {
    client
        .batch_execute(&format!(
            "CALL sparkify.join_trainer('{}', '{}', '{}')",
            trainer.string(),
            cell.string(),
            cell.name
        ))
        .unwrap();
}

/// What the job of schedule_pipeline() does every minute.
pub const MINUTE: &str = "SELECT sparkify.serve_published_model(10); \
    SELECT sparkify.refresh_recommendations(10); SELECT sparkify.refresh_summaries()";

/// How many plays there are.
pub const PLAYS: &str = "SELECT count(*) FROM sparkify.listening_events";

/// A number that a query gives.
pub fn number(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
}

/// The rows of a query as text, in byte order.
pub fn texts(client: &mut Client, sql: &str) -> Vec<String> {
    let sql = format!("SELECT rows::text COLLATE \"C\" FROM ({sql}) AS rows ORDER BY 1");
    let rows = client.query(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.get(0)).collect()
}
