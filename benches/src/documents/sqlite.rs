//! SQLite in this process: JSON text in one table, an index on an expression for each question, FTS5 for text. Readers
//! have a connection each; writers share one, since there can be only one at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, params};
use serde_json::Value;

use super::data::Orders;
use super::store::{DocumentStore, FEW_LIMIT, Question, RANGE_LIMIT};
use crate::Failure;

/// Rows of one transaction while loading.
const LOAD_ROWS: u64 = 10_000;

pub(crate) struct Sqlite {
    file: PathBuf,
    writer: Arc<Mutex<Connection>>,
    readers: Vec<Arc<Mutex<Connection>>>,
}

impl Sqlite {
    pub(crate) fn new(directory: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(directory)?;
        let file = directory.join("orders.sqlite");
        let writer = Connection::open(&file)?;
        // Every commit is synced.
        writer.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -262144; \
             CREATE TABLE orders (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL); \
             CREATE VIRTUAL TABLE notes USING fts5(note, content='', tokenize='porter')",
        )?;
        Ok(Self {
            file,
            writer: Arc::new(Mutex::new(writer)),
            readers: Vec::new(),
        })
    }

    /// Opens the connections of the readers.
    pub(crate) fn open_readers(&mut self, clients: usize) -> Result<(), Failure> {
        for _ in 0..clients {
            let reader = Connection::open_with_flags(&self.file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            reader.execute_batch("PRAGMA cache_size = -65536; PRAGMA mmap_size = 4294967296")?;
            self.readers.push(Arc::new(Mutex::new(reader)));
        }
        Ok(())
    }

    fn insert(writer: &Connection, key: &str, document: &Value) -> Result<(), Failure> {
        let mut insert = writer.prepare_cached("INSERT INTO orders (id, doc) VALUES (?1, ?2)")?;
        insert.execute(params![key, document.to_string()])?;
        let note = document.get("note").and_then(Value::as_str);
        let mut index = writer.prepare_cached("INSERT INTO notes (rowid, note) VALUES (?1, ?2)")?;
        index.execute(params![writer.last_insert_rowid(), note.unwrap_or("")])?;
        Ok(())
    }

    fn load_all(writer: &Mutex<Connection>, orders: Orders) -> Result<(), Failure> {
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut from = 0;
        while from < orders.count {
            let to = (from + LOAD_ROWS).min(orders.count);
            let transaction = writer.transaction()?;
            for number in from..to {
                Self::insert(&transaction, &Orders::key(number), &orders.document(number))?;
            }
            transaction.commit()?;
            from = to;
        }
        writer.execute_batch(
            "CREATE INDEX customers ON orders (json_extract(doc, '$.customer')); \
             CREATE INDEX totals ON orders (json_extract(doc, '$.total')); \
             CREATE INDEX newest ON orders (json_extract(doc, '$.status'), json_extract(doc, '$.created')); \
             ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)",
        )?;
        Ok(())
    }

    fn answer(reader: &Connection, question: Question) -> Result<u64, Failure> {
        // Every document is read, as a client would.
        let is_document = !matches!(question, Question::Aggregate);
        let count = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<u64, Failure> {
            let mut statement = reader.prepare_cached(sql)?;
            let mut rows = statement.query(values)?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let text = row.get_ref(0)?.as_str()?;
                if is_document {
                    let _: Value = serde_json::from_str(text)?;
                }
                count += u64::from(!text.is_empty());
            }
            Ok(count)
        };
        match question {
            Question::Insert(..) | Question::Bulk(..) => Err("readers do not write".into()),
            Question::Read(key) => count("SELECT doc FROM orders WHERE id = ?1", &[&key]),
            Question::Equal(customer) => count(
                "SELECT doc FROM orders WHERE json_extract(doc, '$.customer') = ?1",
                &[&customer],
            ),
            Question::Range(totals) => count(
                &format!(
                    "SELECT doc FROM orders WHERE json_extract(doc, '$.total') BETWEEN ?1 AND ?2 \
                     ORDER BY json_extract(doc, '$.total') LIMIT {RANGE_LIMIT}"
                ),
                &[&totals.from, &totals.to],
            ),
            Question::Newest(status) => count(
                &format!(
                    "SELECT doc FROM orders WHERE json_extract(doc, '$.status') = ?1 \
                     ORDER BY json_extract(doc, '$.created') DESC LIMIT {FEW_LIMIT}"
                ),
                &[&status],
            ),
            Question::Aggregate => count(
                "SELECT json_extract(doc, '$.city') AS city, count(*), sum(json_extract(doc, '$.total')), \
                 avg(json_extract(doc, '$.total')) FROM orders GROUP BY city ORDER BY city",
                &[],
            ),
            Question::Search(words) => count(
                &format!(
                    "SELECT doc FROM notes JOIN orders ON orders.number = notes.rowid \
                     WHERE notes MATCH ?1 ORDER BY rank LIMIT {FEW_LIMIT}"
                ),
                &[&words.join(" AND ")],
            ),
        }
    }
}

impl Sqlite {
    /// In one commit.
    async fn write(&self, documents: Vec<(String, Value)>) -> Result<u64, Failure> {
        let writer = Arc::clone(&self.writer);
        tokio::task::spawn_blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = writer.transaction()?;
            for (key, document) in &documents {
                Self::insert(&transaction, key, document)?;
            }
            transaction.commit()?;
            Ok(documents.len() as u64)
        })
        .await?
    }
}

impl DocumentStore for Sqlite {
    async fn load(&self, orders: Orders) -> Result<(), Failure> {
        let writer = Arc::clone(&self.writer);
        tokio::task::spawn_blocking(move || Self::load_all(&writer, orders)).await?
    }

    async fn ask(&self, client: usize, question: Question) -> Result<u64, Failure> {
        let writes = match question {
            Question::Insert(key, document) => Ok(vec![(key, document)]),
            Question::Bulk(documents) => Ok(documents),
            question => Err(question),
        };
        let question = match writes {
            Err(question) => question,
            Ok(documents) => return self.write(documents).await,
        };
        let place = client % self.readers.len().max(1);
        let reader = Arc::clone(self.readers.get(place).ok_or("there are no readers")?);
        tokio::task::spawn_blocking(move || {
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            Self::answer(&reader, question)
        })
        .await?
    }
}
