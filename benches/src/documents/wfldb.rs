//! Our server, through the SDK: one bucket of documents, an index for each question.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use wfldb_client::{Batch, Client, ClientOptions, GetOptions, IndexState, PutOptions, Query};
use wfldb_core::index::IndexDefinition;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::BucketConfig;
use wfldb_core::text::SearchRequest;

use super::data::Orders;
use super::store::{DocumentStore, FEW_LIMIT, Question, RANGE_LIMIT, Task};
use crate::peer::Peer;
use crate::{Failure, scrape};

/// Documents of one batch while loading, and batches at once.
const LOAD_DOCUMENTS: u64 = 500;
const LOAD_BATCHES: u64 = 8;

/// How long the mirror may take until it has what was loaded.
const SETTLED_WITHIN: Duration = Duration::from_mins(30);

pub(crate) struct Wfldb {
    client: Client,
    /// Where the server's metrics are.
    metrics: String,
    bucket: BucketName,
    /// The server was built with full text.
    searches: bool,
}

impl Wfldb {
    pub(crate) async fn new(peer: &Peer, connections: usize) -> Result<Self, Failure> {
        let options = ClientOptions {
            connections,
            ..ClientOptions::default()
        };
        let client = Client::with_options(peer.profile()?, options);
        let bucket = BucketName::parse("orders")?;
        let with_text = br#"{"kind":"documents","text":{"fields":["note"],"language":"english"}}"#;
        let searching = client
            .create_bucket(&bucket, &BucketConfig::parse_json(with_text)?)
            .await;
        let searches = searching.is_ok();
        if !searches {
            let config = BucketConfig::parse_json(br#"{"kind":"documents"}"#)?;
            client.create_bucket(&bucket, &config).await?;
        }
        Ok(Self {
            client,
            metrics: peer.server_fact("metrics")?,
            bucket,
            searches,
        })
    }

    async fn store(
        client: Client,
        bucket: BucketName,
        documents: Vec<(String, Value)>,
    ) -> Result<(), Failure> {
        let mut batch = Batch::new();
        for (key, document) in documents {
            batch = batch.put_document(ObjectKey::parse(&key)?, document.to_string());
        }
        client.batch(&bucket, &batch).await?;
        Ok(())
    }

    async fn find(&self, query: Query) -> Result<u64, Failure> {
        Ok(self.client.find(&self.bucket, &query).all().await?.len() as u64)
    }
}

impl DocumentStore for Wfldb {
    async fn load(&self, orders: Orders) -> Result<(), Failure> {
        let mut tasks = JoinSet::new();
        let mut from = 0;
        while from < orders.count || !tasks.is_empty() {
            if from < orders.count && (tasks.len() as u64) < LOAD_BATCHES {
                let to = (from + LOAD_DOCUMENTS).min(orders.count);
                tasks.spawn(Self::store(
                    self.client.clone(),
                    self.bucket.clone(),
                    orders.documents(from, to),
                ));
                from = to;
            } else if let Some(done) = tasks.join_next().await {
                done??;
            }
        }
        for (name, fields) in [
            ("customers", json!(["customer"])),
            ("totals", json!(["total"])),
            ("newest", json!(["status", "created"])),
        ] {
            let definition = json!({"index": {"fields": fields}, "name": name, "type": "ordered"});
            let definition = IndexDefinition::parse(&definition)?;
            loop {
                let made = self.client.create_index(&self.bucket, &definition, true).await?;
                match made.state {
                    IndexState::Ready => break,
                    IndexState::Building => {}
                    IndexState::Failed => return Err("an index could not be built".into()),
                }
            }
        }
        while self.searches && self.client.search_status(&self.bucket).await?.behind > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// The mirror writes a file of each document after the commit.
    async fn settle(&self) -> Result<(), Failure> {
        const BEHIND: &str = "wfldb_mirror_changes_behind";
        let start = Instant::now();
        while scrape::figure(&self.metrics, BEHIND)
            .await?
            .is_some_and(|behind| behind > 0.0)
        {
            if start.elapsed() > SETTLED_WITHIN {
                return Err("the mirror does not catch up".into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn can(&self, task: Task) -> bool {
        self.searches || task != Task::Search
    }

    async fn ask(&self, _client: usize, question: Question) -> Result<u64, Failure> {
        let few = usize::try_from(FEW_LIMIT)?;
        match question {
            Question::Insert(key, document) => {
                let key = ObjectKey::parse(&key)?;
                let body = document.to_string();
                self.client
                    .put_document(&self.bucket, &key, body, PutOptions::default())
                    .await?;
                Ok(1)
            }
            Question::Bulk(documents) => {
                let count = documents.len() as u64;
                Self::store(self.client.clone(), self.bucket.clone(), documents).await?;
                Ok(count)
            }
            Question::Read(key) => {
                let key = ObjectKey::parse(&key)?;
                let document = self
                    .client
                    .document(&self.bucket, &key, GetOptions::default())
                    .await?;
                let document: Value = serde_json::from_slice(&document.json)?;
                Ok(u64::from(document.is_object()))
            }
            Question::Equal(customer) => {
                self.find(Query::all().filter(json!({"customer": customer})))
                    .await
            }
            Question::Range(totals) => {
                let selector = json!({"total": {"$gte": totals.from, "$lte": totals.to}});
                let limit = usize::try_from(RANGE_LIMIT)?;
                self.find(Query::all().filter(selector).sort("total").limit(limit))
                    .await
            }
            Question::Newest(status) => {
                let query = Query::all()
                    .filter(json!({"status": status}))
                    .sort_descending("created")
                    .limit(few);
                self.find(query).await
            }
            Question::Aggregate => {
                let fields = json!({"n": {"count": true}, "sum": {"sum": "total"}, "mean": {"avg": "total"}});
                let pipeline = json!([{"group": {"by": ["city"], "fields": fields}}]);
                Ok(self.client.aggregate(&self.bucket, &pipeline).await?.rows.len() as u64)
            }
            Question::Search(words) => {
                let request: Value = json!({"query": words.join(" "), "operator": "and", "limit": FEW_LIMIT, "documents": true});
                let request: SearchRequest = serde_json::from_value(request)?;
                let found = self.client.search(&self.bucket, &request, None).await?;
                Ok(found.items.len() as u64)
            }
        }
    }
}
