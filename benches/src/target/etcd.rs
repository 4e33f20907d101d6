//! etcd through its JSON gateway over HTTP/1.1: keys and values travel as base64, which costs both sides something
//! that its gRPC interface would not.

use base64ct::{Base64, Encoding};
use http::Request;
use serde_json::{Value, json};

use super::{Operation, SCAN_KEYS, Target};
use crate::Failure;
use crate::body::{Outgoing, Payload};
use crate::http_client::{HttpClient, Keep, Version};

/// etcd takes requests up to 1.5 MiB.
const BODY_BYTES_MAX: u64 = 1 << 20;

pub(crate) struct Etcd {
    http: HttpClient,
}

impl Etcd {
    pub(crate) fn new(address: &str, clients: usize) -> Self {
        Self {
            http: HttpClient::new(address, Version::Http1, clients),
        }
    }

    async fn call(&self, client: usize, path: &str, body: &Value) -> Result<Value, Failure> {
        let body = serde_json::to_vec(body)?;
        let request = Request::post(path)
            .header("host", self.http.address())
            .header("content-type", "application/json")
            .body(Outgoing::Whole(Some(body.into())))?;
        let answer = self.http.send(client, request, Keep::Bytes).await?;
        Ok(serde_json::from_slice(&answer.success(path)?.kept)?)
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    Base64::encode_string(bytes.as_ref())
}

impl Target for Etcd {
    type Prepared = Payload;

    fn refuses(&self, operation: Operation, size: u64) -> Option<&'static str> {
        if size > BODY_BYTES_MAX {
            return Some("etcd takes requests up to 1.5 MiB");
        }
        (operation == Operation::Batch).then_some("etcd's transactions are not measured")
    }

    async fn prepare(&self, payload: Payload) -> Result<Payload, Failure> {
        Ok(payload)
    }

    async fn put(&self, client: usize, key: String, body: Payload) -> Result<(), Failure> {
        let Payload::Bytes(bytes) = body else {
            return Err("etcd takes no files".into());
        };
        let body = json!({ "key": encoded(key), "value": encoded(bytes) });
        self.call(client, "/v3/kv/put", &body).await?;
        Ok(())
    }

    async fn get(&self, client: usize, key: String, size: u64) -> Result<(), Failure> {
        let answer = self
            .call(client, "/v3/kv/range", &json!({ "key": encoded(key) }))
            .await?;
        let value = answer.pointer("/kvs/0/value").and_then(Value::as_str);
        let bytes = Base64::decode_vec(value.unwrap_or_default())?;
        if bytes.len() as u64 == size {
            return Ok(());
        }
        Err(format!("{size} bytes were stored, {} came back", bytes.len()).into())
    }

    async fn delete(&self, client: usize, key: String) -> Result<(), Failure> {
        let body = json!({ "key": encoded(key) });
        let answer = self.call(client, "/v3/kv/deleterange", &body).await?;
        if answer.get("deleted").and_then(Value::as_str) == Some("1") {
            return Ok(());
        }
        Err("nothing was there to delete".into())
    }

    async fn scan(&self, client: usize, after: String) -> Result<(), Failure> {
        let body = json!({
            "key": encoded(after),
            "range_end": encoded([0]),
            "limit": SCAN_KEYS,
            "keys_only": true,
        });
        self.call(client, "/v3/kv/range", &body).await?;
        Ok(())
    }
}
