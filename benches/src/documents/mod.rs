//! Documents: the same orders in our server, in `PostgreSQL`'s `jsonb` and in `SQLite`'s JSON, the same questions in each
//! store's own language, in one run. Stores are asked one after the other; each question alone.

mod data;
mod growth;
mod offered;
#[cfg(feature = "sql")]
mod postgres;
#[cfg(feature = "sql")]
mod sqlite;
mod store;
mod wfldb;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use self::data::{Numbers, Orders};
#[cfg(feature = "sql")]
use self::store::CLIENTS_MAX;
use self::store::{BULK_DOCUMENTS, DocumentStore, Question, RANGE_LIMIT, Task};
use crate::Failure;
use crate::histogram::Histogram;
use crate::measure::{Measured, Part, Seen};
use crate::options::Options;
use crate::peer::Peer;
#[cfg(feature = "sql")]
use crate::peer::Started;
use crate::process::{Meter, Spent};
use crate::report::{About, Ratio, Wanted};

/// Indexed questions that return at most 100 documents, at half of what the store can do, are answered within this.
const OFFERED_P95_MS: f64 = 10.0;

/// What a run found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    documents: u64,
    clients: usize,
    seconds: f64,
    stores: Vec<About>,
    /// Seconds until everything was stored and indexed.
    loads: Vec<Load>,
    rows: Vec<Row>,
    offered: Vec<offered::Offered>,
    growth: Vec<growth::Step>,
    ratios: Vec<Ratio>,
    /// Why a store was not asked.
    skipped: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Load {
    store: &'static str,
    seconds: f64,
    /// Until everything was done that the store does behind its answers.
    settled_seconds: f64,
}

/// One task in one store.
#[derive(Debug, Serialize)]
struct Row {
    store: &'static str,
    task: Task,
    clients: usize,
    /// Documents or groups of an answer, on average; equal questions must have equal answers.
    answers: f64,
    #[serde(flatten)]
    measured: Measured,
}

/// How a store is asked.
#[derive(Debug, Clone, Copy)]
struct Terms {
    orders: Orders,
    clients: usize,
    time: Duration,
}

/// Makes the questions of one client, the same for each store.
struct Asker {
    random: Numbers,
    orders: Orders,
    task: Task,
}

impl Asker {
    fn new(task: Task, orders: Orders, client: usize) -> Self {
        Self {
            random: Numbers::new(client as u64 + 1),
            orders,
            task,
        }
    }

    fn next(&mut self, inserted: &AtomicU64) -> Question {
        let random = &mut self.random;
        match self.task {
            Task::Insert => {
                let number = self.orders.count + inserted.fetch_add(1, Ordering::Relaxed);
                Question::Insert(Orders::key(number), self.orders.document(number))
            }
            Task::Bulk => {
                let from = self.orders.count + inserted.fetch_add(BULK_DOCUMENTS, Ordering::Relaxed);
                Question::Bulk(self.orders.documents(from, from + BULK_DOCUMENTS))
            }
            Task::Read => Question::Read(self.orders.some_key(random)),
            Task::Equal => Question::Equal(self.orders.some_customer(random)),
            Task::Range => Question::Range(self.orders.some_totals(random, RANGE_LIMIT)),
            Task::Newest => Question::Newest(data::some_status(random)),
            Task::Aggregate => Question::Aggregate,
            Task::Search => Question::Search(data::some_words(random)),
        }
    }
}

/// Loads every store that is there, and asks it everything.
pub(crate) fn run(options: &Options, runtime: &Runtime, scratch: &Path) -> Result<Report, Failure> {
    let terms = Terms {
        orders: Orders {
            count: options.documents_count,
        },
        clients: options.clients().into_iter().max().unwrap_or(16).min(16),
        time: options.time(),
    };
    let mut report = Report {
        documents: terms.orders.count,
        clients: terms.clients,
        seconds: terms.time.as_secs_f64(),
        ..Report::default()
    };
    if options.growth {
        report.growth = growth::run(options, runtime, scratch)?;
        return Ok(report);
    }
    ours(options, runtime, scratch, terms, &mut report)?;
    #[cfg(feature = "sql")]
    {
        with_postgres(options, runtime, scratch, terms, &mut report)?;
        with_sqlite(runtime, scratch, terms, &mut report)?;
    }
    #[cfg(not(feature = "sql"))]
    report
        .skipped
        .push("the peers: built without --features sql".to_owned());
    report.ratios = ratios(&report);
    report.ratios.iter().for_each(Ratio::print);
    report.skipped.iter().for_each(|why| eprintln!("skipped: {why}"));
    Ok(report)
}

fn ours(
    options: &Options,
    runtime: &Runtime,
    scratch: &Path,
    terms: Terms,
    report: &mut Report,
) -> Result<(), Failure> {
    const NAME: &str = "wfldb";
    let peer = Peer::server(&scratch.join(NAME), None)?;
    let store = runtime.block_on(wfldb::Wfldb::new(&peer, options.connections))?;
    let store = Arc::new(store);
    let asked = Asked {
        name: NAME,
        store,
        pid: peer.pid(),
        runtime,
        terms,
    };
    asked.load(report)?;
    asked.questions(report)?;
    for task in [Task::Equal, Task::Range, Task::Newest] {
        let capacity = report.rate(NAME, task, terms.clients).unwrap_or(0.0);
        let offered = offered::run(&asked.store, runtime, terms, task, capacity / 2.0)?;
        offered.print(OFFERED_P95_MS);
        report.offered.push(offered);
    }
    asked.writes(report)?;
    report.stores.push(About {
        target: NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        durability: "every write is synced before it is answered; reads over a session".to_owned(),
    });
    Ok(())
}

#[cfg(feature = "sql")]
fn with_postgres(
    options: &Options,
    runtime: &Runtime,
    scratch: &Path,
    terms: Terms,
    report: &mut Report,
) -> Result<(), Failure> {
    const NAME: &str = "postgresql";
    let script = options.peers.join("postgres.sh");
    let peer = match Peer::script(&script, &scratch.join(NAME))? {
        Started::Ready(peer) => peer,
        Started::Skipped(why) => {
            report.skipped.push(format!("{NAME}: {why}"));
            return Ok(());
        }
    };
    let facts = peer.facts();
    let port = facts.port.ok_or("the script names no port")?;
    let store = runtime.block_on(postgres::Postgres::new(&facts.address, port, CLIENTS_MAX))?;
    ask_everything(NAME, store, peer.pid(), runtime, terms, report)?;
    report.stores.push(About {
        target: NAME.to_owned(),
        version: facts.version.clone(),
        durability: facts.durability.clone(),
    });
    Ok(())
}

#[cfg(feature = "sql")]
fn with_sqlite(runtime: &Runtime, scratch: &Path, terms: Terms, report: &mut Report) -> Result<(), Failure> {
    const NAME: &str = "sqlite";
    let mut store = sqlite::Sqlite::new(&scratch.join(NAME))?;
    store.open_readers(terms.clients)?;
    ask_everything(NAME, store, std::process::id(), runtime, terms, report)?;
    report.stores.push(About {
        target: NAME.to_owned(),
        version: rusqlite::version().to_owned(),
        durability: "WAL, synchronous = FULL; in the load generator's process, nothing crosses a socket"
            .to_owned(),
    });
    Ok(())
}

#[cfg(feature = "sql")]
fn ask_everything<S: DocumentStore>(
    name: &'static str,
    store: S,
    pid: u32,
    runtime: &Runtime,
    terms: Terms,
    report: &mut Report,
) -> Result<(), Failure> {
    let asked = Asked {
        name,
        store: Arc::new(store),
        pid,
        runtime,
        terms,
    };
    asked.load(report)?;
    asked.questions(report)?;
    asked.writes(report)
}

/// A store while it is asked.
struct Asked<'a, S> {
    name: &'static str,
    store: Arc<S>,
    /// Of the store.
    pid: u32,
    runtime: &'a Runtime,
    terms: Terms,
}

impl<S: DocumentStore> Asked<'_, S> {
    fn load(&self, report: &mut Report) -> Result<(), Failure> {
        let (name, orders) = (self.name, self.terms.orders);
        let start = Instant::now();
        self.runtime.block_on(self.store.load(orders))?;
        let seconds = start.elapsed().as_secs_f64();
        self.runtime.block_on(self.store.settle())?;
        let settled_seconds = start.elapsed().as_secs_f64();
        eprintln!(
            "{name}: {} documents loaded and indexed in {seconds:.1} s, settled after {settled_seconds:.1} s",
            orders.count
        );
        report.loads.push(Load {
            store: name,
            seconds,
            settled_seconds,
        });
        Ok(())
    }

    fn questions(&self, report: &mut Report) -> Result<(), Failure> {
        self.tasks(|task| !task.writes(), report)
    }

    /// Comes last, so that all questions are about the same documents.
    fn writes(&self, report: &mut Report) -> Result<(), Failure> {
        self.tasks(Task::writes, report)
    }

    fn tasks(&self, wanted: impl Fn(Task) -> bool, report: &mut Report) -> Result<(), Failure> {
        let (name, runtime, terms) = (self.name, self.runtime, self.terms);
        let inserted = Arc::new(AtomicU64::new(0));
        for task in Task::ALL.into_iter().filter(|task| wanted(*task)) {
            if !self.store.can(task) {
                report
                    .skipped
                    .push(format!("{name}: {}, which it was built without", task.name()));
                continue;
            }
            for clients in task.clients(terms.clients) {
                let warm = Terms {
                    time: terms.time / 5,
                    ..terms
                };
                runtime.block_on(ask(&self.store, task, clients, warm, &inserted))?;
                let (server, generator) = (Meter::of_tree(self.pid)?, Meter::of_self()?);
                let (seen, answers) = runtime.block_on(ask(&self.store, task, clients, terms, &inserted))?;
                let generator: Option<Spent> = (self.pid != std::process::id())
                    .then(|| generator.spent())
                    .transpose()?;
                let measured = Measured::new(seen, &server.spent()?, generator.as_ref());
                let row = Row {
                    store: name,
                    task,
                    clients,
                    #[expect(clippy::cast_precision_loss, reason = "an average for people")]
                    answers: answers as f64 / measured.ops.max(1) as f64,
                    measured,
                };
                row.print();
                report.rows.push(row);
            }
        }
        Ok(())
    }
}

/// Asks in a closed loop; answers what was seen and how many documents came back in all.
async fn ask<S: DocumentStore>(
    store: &Arc<S>,
    task: Task,
    clients: usize,
    terms: Terms,
    inserted: &Arc<AtomicU64>,
) -> Result<(Seen, u64), Failure> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (store, inserted) = (Arc::clone(store), Arc::clone(inserted));
        tasks.spawn(async move {
            let mut questions = Asker::new(task, terms.orders, client);
            let (mut counts, mut answers) = (Histogram::default(), 0);
            let mut first = true;
            while first || start.elapsed() < terms.time {
                first = false;
                let question = questions.next(&inserted);
                let asked = Instant::now();
                answers += store.ask(client, question).await?;
                counts.record(asked.elapsed());
            }
            Ok::<_, Failure>((counts, answers))
        });
    }
    let (mut counts, mut answers) = (Histogram::default(), 0);
    while let Some(done) = tasks.join_next().await {
        let (more, others) = done??;
        counts.add(&more);
        answers += others;
    }
    let seen = Seen {
        parts: vec![Part {
            of: task.name(),
            counts,
        }],
        bytes: 0,
        stored_bytes: 0,
        wall: start.elapsed(),
    };
    Ok((seen, answers))
}

impl Report {
    fn rate(&self, store: &str, task: Task, clients: usize) -> Option<f64> {
        let row = self
            .rows
            .iter()
            .find(|row| row.store == store && row.task == task && row.clients == clients)?;
        Some(row.measured.ops_per_s)
    }
}

impl Row {
    fn print(&self) {
        let m = &self.measured;
        eprintln!(
            "{:<11} {:<9} x{:<3} {:>9.1}/s  p50 {:>8.3}  p95 {:>8.3}  p99 {:>8.3} ms  cpu {:>8.1} us  {:>5.1} answers  stolen {:.1}%",
            self.store,
            self.task.name(),
            self.clients,
            m.ops_per_s,
            m.p50_ms,
            m.p95_ms,
            m.p99_ms,
            m.cpu_us_per_op,
            self.answers,
            m.stolen_share * 100.0
        );
    }
}

/// Our rate over that of each other store.
fn ratios(report: &Report) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for (to, wanted) in [("postgresql", Some(Wanted::AtLeast(1.0))), ("sqlite", None)] {
        for task in Task::ALL {
            for clients in task.clients(report.clients) {
                let rate = |store| report.rate(store, task, clients);
                let rates = rate("wfldb").zip(rate(to));
                ratios.push(Ratio {
                    of: format!("{} x{clients} per second", task.name()),
                    to,
                    value: rates.map(|(ours, theirs)| ours / theirs.max(1e-9)),
                    wanted,
                });
            }
        }
    }
    ratios
}
