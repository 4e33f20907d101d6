//! The empty handler, through bare hyper over the connections that the SDK would have.

use http::Request;

use super::{Operation, Target};
use crate::Failure;
use crate::body::{Outgoing, Payload};
use crate::http_client::{HttpClient, Keep, Version};

pub(crate) struct Empty {
    http: HttpClient,
    uri: String,
}

impl Empty {
    pub(crate) fn new(address: &str, connections: usize) -> Self {
        Self {
            http: HttpClient::new(address, Version::Http2, connections),
            uri: format!("http://{address}/v1/bench/key"),
        }
    }
}

impl Target for Empty {
    type Prepared = Outgoing;

    fn refuses(&self, operation: Operation, _size: u64) -> Option<&'static str> {
        let served = matches!(operation, Operation::Put | Operation::Get | Operation::Mixed);
        (!served).then_some("the empty handler only takes and gives bodies")
    }

    async fn prepare(&self, payload: Payload) -> Result<Outgoing, Failure> {
        Ok(Outgoing::of(&payload))
    }

    async fn put(&self, client: usize, _key: String, body: Outgoing) -> Result<(), Failure> {
        let request = Request::put(&self.uri).body(body)?;
        self.http
            .send(client, request, Keep::Count)
            .await?
            .success("PUT")?;
        Ok(())
    }

    async fn get(&self, client: usize, _key: String, size: u64) -> Result<(), Failure> {
        let request = Request::get(&self.uri).body(Outgoing::empty())?;
        let answer = self.http.send(client, request, Keep::Count).await?;
        answer.success("GET")?.of_len(size)?;
        Ok(())
    }

    async fn delete(&self, _client: usize, _key: String) -> Result<(), Failure> {
        Err("the empty handler has nothing to delete".into())
    }
}
