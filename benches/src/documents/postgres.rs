//! PostgreSQL: `jsonb` in one table, an index for each question, prepared statements, a connection for each client, over
//! TCP on loopback.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, NoTls, Statement};

use super::data::Orders;
use super::store::{DocumentStore, FEW_LIMIT, Question, RANGE_LIMIT};
use crate::Failure;

/// Rows of one statement while loading, and statements at once.
const LOAD_ROWS: u64 = 500;
const LOAD_STATEMENTS: usize = 8;

pub(crate) struct Postgres {
    clients: Vec<Connected>,
}

struct Connected {
    client: Client,
    statements: Statements,
    driver: JoinHandle<()>,
}

struct Statements {
    insert: Statement,
    bulk: Statement,
    read: Statement,
    equal: Statement,
    range: Statement,
    newest: Statement,
    aggregate: Statement,
    search: Statement,
}

impl Statements {
    async fn of(client: &Client) -> Result<Self, Failure> {
        let (range, few) = (RANGE_LIMIT, FEW_LIMIT);
        let aggregate = "SELECT doc->>'city' AS city, count(*), sum((doc->>'total')::float8), \
                         avg((doc->>'total')::float8) FROM orders GROUP BY 1 ORDER BY 1";
        Ok(Self {
            insert: client.prepare("INSERT INTO orders (id, doc) VALUES ($1, $2)").await?,
            bulk: client
                .prepare("INSERT INTO orders (id, doc) SELECT * FROM unnest($1::text[], $2::jsonb[])")
                .await?,
            read: client.prepare("SELECT doc::text FROM orders WHERE id = $1").await?,
            equal: client
                .prepare("SELECT doc::text FROM orders WHERE doc->>'customer' = $1")
                .await?,
            range: client
                .prepare(&format!(
                    "SELECT doc::text FROM orders WHERE (doc->>'total')::float8 >= $1 AND (doc->>'total')::float8 <= $2 \
                     ORDER BY (doc->>'total')::float8 LIMIT {range}"
                ))
                .await?,
            newest: client
                .prepare(&format!(
                    "SELECT doc::text FROM orders WHERE doc->>'status' = $1 ORDER BY doc->>'created' DESC LIMIT {few}"
                ))
                .await?,
            aggregate: client.prepare(aggregate).await?,
            search: client
                .prepare(&format!(
                    "SELECT doc::text FROM orders, to_tsquery('english', $1) query \
                     WHERE to_tsvector('english', doc->>'note') @@ query \
                     ORDER BY ts_rank(to_tsvector('english', doc->>'note'), query) DESC LIMIT {few}"
                ))
                .await?,
        })
    }
}

impl Postgres {
    /// Connects, and makes the table.
    pub(crate) async fn new(host: &str, port: u16, clients: usize) -> Result<Self, Failure> {
        let settings = format!("host={host} port={port} user=bench dbname=postgres");
        let (first, connection) = tokio_postgres::connect(&settings, NoTls).await?;
        let driver = tokio::spawn(async move {
            // Whoever asks is told.
            let _ = connection.await;
        });
        first
            .batch_execute("CREATE TABLE orders (id text PRIMARY KEY, doc jsonb NOT NULL)")
            .await?;
        driver.abort();
        let mut connected = Vec::new();
        for _ in 0..clients {
            let (client, connection) = tokio_postgres::connect(&settings, NoTls).await?;
            let driver = tokio::spawn(async move {
                let _ = connection.await;
            });
            let statements = Statements::of(&client).await?;
            connected.push(Connected {
                client,
                statements,
                driver,
            });
        }
        Ok(Self { clients: connected })
    }

    fn client(&self, client: usize) -> Result<&Connected, Failure> {
        let place = client % self.clients.len().max(1);
        Ok(self.clients.get(place).ok_or("there are no connections")?)
    }
}

impl Connected {
    /// In one commit.
    async fn insert_all(&self, documents: Vec<(String, Value)>) -> Result<u64, Failure> {
        let (keys, documents): (Vec<String>, Vec<Json<Value>>) = documents
            .into_iter()
            .map(|(key, document)| (key, Json(document)))
            .unzip();
        Ok(self
            .client
            .execute(&self.statements.bulk, &[&keys, &documents])
            .await?)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl DocumentStore for Postgres {
    async fn load(&self, orders: Orders) -> Result<(), Failure> {
        let next = AtomicU64::new(0);
        let load = |place: usize| {
            let next = &next;
            async move {
                let connected = self.client(place)?;
                loop {
                    let from = next.fetch_add(LOAD_ROWS, Ordering::Relaxed);
                    if from >= orders.count {
                        return Ok::<_, Failure>(());
                    }
                    let to = (from + LOAD_ROWS).min(orders.count);
                    connected.insert_all(orders.documents(from, to)).await?;
                }
            }
        };
        let [a, b, c, d, e, f, g, h] = std::array::from_fn::<_, LOAD_STATEMENTS, _>(load);
        tokio::try_join!(a, b, c, d, e, f, g, h)?;
        let client = &self.client(0)?.client;
        client
            .batch_execute(
                "CREATE INDEX ON orders ((doc->>'customer')); \
                 CREATE INDEX ON orders (((doc->>'total')::float8)); \
                 CREATE INDEX ON orders ((doc->>'status'), (doc->>'created')); \
                 CREATE INDEX ON orders USING gin (to_tsvector('english', doc->>'note'))",
            )
            .await?;
        // Statements of one call are one transaction, and these two cannot be in one.
        client.batch_execute("VACUUM ANALYZE orders").await?;
        client.batch_execute("CHECKPOINT").await?;
        Ok(())
    }

    async fn ask(&self, client: usize, question: Question) -> Result<u64, Failure> {
        let connected = self.client(client)?;
        let Connected {
            client, statements, ..
        } = connected;
        let aggregates = matches!(question, Question::Aggregate);
        let rows = match question {
            Question::Bulk(documents) => return connected.insert_all(documents).await,
            Question::Insert(key, document) => {
                return Ok(client
                    .execute(&statements.insert, &[&key, &Json(document)])
                    .await?);
            }
            Question::Read(key) => client.query(&statements.read, &[&key]).await?,
            Question::Equal(customer) => client.query(&statements.equal, &[&customer]).await?,
            Question::Range(totals) => {
                client
                    .query(&statements.range, &[&totals.from, &totals.to])
                    .await?
            }
            Question::Newest(status) => client.query(&statements.newest, &[&status]).await?,
            Question::Aggregate => client.query(&statements.aggregate, &[]).await?,
            Question::Search(words) => client.query(&statements.search, &[&words.join(" & ")]).await?,
        };
        if aggregates {
            return Ok(rows.len() as u64);
        }
        for row in &rows {
            let _: Value = serde_json::from_str(row.try_get(0)?)?;
        }
        Ok(rows.len() as u64)
    }
}
