//! The handlers that stand for limits, through bare hyper over the connections that the SDK would have.

use std::sync::atomic::{AtomicU64, Ordering};

use http::Request;
use http::header::AUTHORIZATION;

use super::{Operation, Target};
use crate::Failure;
use crate::body::{Outgoing, Payload};
use crate::http_client::{HttpClient, Keep, Version};

/// A handler that looks at no credentials. Each request carries some all the same, as long as those of a session.
pub(crate) struct Handler {
    http: HttpClient,
    base: String,
    asked: AtomicU64,
}

impl Handler {
    pub(crate) fn new(address: &str, connections: usize) -> Self {
        Self {
            http: HttpClient::new(address, Version::Http2, connections),
            base: format!("http://{address}/v1/bench/"),
            asked: AtomicU64::new(0),
        }
    }

    /// In the form of a session's, with another tag for each request.
    fn credentials(&self) -> String {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let tag = asked.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("WFLDB-B3MAC-1 AAECAwQFBgcICQoLDA0ODw.1767323645000.{asked}.{tag:022x}")
    }
}

impl Target for Handler {
    type Prepared = Outgoing;

    fn refuses(&self, operation: Operation, _size: u64) -> Option<&'static str> {
        let served = matches!(operation, Operation::Put | Operation::Get | Operation::Mixed);
        (!served).then_some("the handler only takes and gives bodies")
    }

    async fn prepare(&self, payload: Payload) -> Result<Outgoing, Failure> {
        Ok(Outgoing::of(&payload))
    }

    async fn put(&self, client: usize, key: String, body: Outgoing) -> Result<(), Failure> {
        let request = Request::put(format!("{}{key}", self.base))
            .header(AUTHORIZATION, self.credentials())
            .body(body)?;
        self.http
            .send(client, request, Keep::Count)
            .await?
            .success("PUT")?;
        Ok(())
    }

    async fn get(&self, client: usize, key: String, size: u64) -> Result<(), Failure> {
        let request = Request::get(format!("{}{key}", self.base))
            .header(AUTHORIZATION, self.credentials())
            .body(Outgoing::empty())?;
        let answer = self.http.send(client, request, Keep::Count).await?;
        answer.success("GET")?.of_len(size)?;
        Ok(())
    }

    async fn delete(&self, _client: usize, _key: String) -> Result<(), Failure> {
        Err("the handler has nothing to delete".into())
    }
}
