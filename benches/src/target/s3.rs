//! An S3 store over HTTP/1.1, path style, every request signed in its headers with the payload's own SHA-256.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request};
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;
use wfldb_core::time::UnixMillis;

use super::{Operation, SCAN_KEYS, Target};
use crate::Failure;
use crate::body::{Outgoing, Payload, SourceFile};
use crate::http_client::{Answer, HttpClient, Keep};
use crate::sigv4::{Credentials, SigningKey, ToSign, amz_date, hex, sha256_hex};

/// A body; a file comes with its hash.
pub(crate) enum Body {
    Bytes(Bytes),
    File { file: Arc<SourceFile>, sha256: String },
}

pub(crate) struct S3 {
    http: HttpClient,
    bucket: String,
    credentials: Credentials,
    key: RwLock<Arc<SigningKey>>,
    empty_sha256: String,
}

fn now() -> Result<String, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(amz_date(UnixMillis::new(u64::try_from(since.as_millis())?)))
}

impl S3 {
    pub(crate) async fn new(
        http: HttpClient,
        bucket: &str,
        credentials: Credentials,
    ) -> Result<Self, Failure> {
        let key = SigningKey::derive(&credentials, &now()?)?;
        let s3 = Self {
            http,
            bucket: bucket.to_owned(),
            credentials,
            key: RwLock::new(Arc::new(key)),
            empty_sha256: sha256_hex(b""),
        };
        // One that is there already is as good.
        let path = format!("/{}", s3.bucket);
        let hash = s3.empty_sha256.clone();
        let _ = s3
            .send(0, Method::PUT, &path, "", &hash, Outgoing::empty(), Keep::Bytes)
            .await?;
        Ok(s3)
    }

    async fn signing_key(&self, date: &str) -> Result<Arc<SigningKey>, Failure> {
        let key = Arc::clone(&*self.key.read().await);
        if key.is_for(date) {
            return Ok(key);
        }
        let key = Arc::new(SigningKey::derive(&self.credentials, date)?);
        *self.key.write().await = Arc::clone(&key);
        Ok(key)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one request")]
    async fn send(
        &self,
        client: usize,
        method: Method,
        path: &str,
        query: &str,
        payload_sha256: &str,
        body: Outgoing,
        keep: Keep,
    ) -> Result<Answer, Failure> {
        let date = now()?;
        let host = self.http.address();
        let headers = [
            ("host", host),
            ("x-amz-content-sha256", payload_sha256),
            ("x-amz-date", &date),
        ];
        let authorization = self.signing_key(&date).await?.authorization(
            &ToSign {
                method: method.as_str(),
                path,
                query,
                headers: &headers,
                payload_sha256,
            },
            &date,
        )?;
        let target = if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        };
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.http.send(client, request.body(body)?, keep).await
    }

    async fn bare(&self, client: usize, method: Method, path: &str, query: &str) -> Result<Answer, Failure> {
        let hash = &self.empty_sha256;
        self.send(client, method, path, query, hash, Outgoing::empty(), Keep::Count)
            .await
    }
}

fn file_sha256(path: &std::path::Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(buffer.get(..len).unwrap_or_default());
    }
}

impl Target for S3 {
    type Prepared = Body;

    fn refuses(&self, operation: Operation, _size: u64) -> Option<&'static str> {
        (operation == Operation::Batch).then_some("S3 has no batch of writes")
    }

    async fn prepare(&self, payload: Payload) -> Result<Body, Failure> {
        Ok(match payload {
            Payload::Bytes(bytes) => Body::Bytes(bytes),
            Payload::File(file) => {
                let path = file.path.clone();
                let sha256 = tokio::task::spawn_blocking(move || file_sha256(&path)).await??;
                Body::File { file, sha256 }
            }
        })
    }

    async fn put(&self, client: usize, key: String, body: Body) -> Result<(), Failure> {
        let path = format!("/{}/{key}", self.bucket);
        let (sha256, payload) = match body {
            Body::Bytes(bytes) => (sha256_hex(&bytes), Payload::Bytes(bytes)),
            Body::File { file, sha256 } => (sha256, Payload::File(file)),
        };
        let body = Outgoing::of(&payload);
        self.send(client, Method::PUT, &path, "", &sha256, body, Keep::Count)
            .await?
            .success("PUT")?;
        Ok(())
    }

    async fn get(&self, client: usize, key: String, size: u64) -> Result<(), Failure> {
        let path = format!("/{}/{key}", self.bucket);
        let answer = self.bare(client, Method::GET, &path, "").await?;
        answer.success("GET")?.of_len(size)?;
        Ok(())
    }

    async fn delete(&self, client: usize, key: String) -> Result<(), Failure> {
        let path = format!("/{}/{key}", self.bucket);
        self.bare(client, Method::DELETE, &path, "")
            .await?
            .success("DELETE")?;
        Ok(())
    }

    async fn scan(&self, client: usize, after: String) -> Result<(), Failure> {
        let path = format!("/{}", self.bucket);
        let query = format!("list-type=2&max-keys={SCAN_KEYS}&start-after={after}");
        self.bare(client, Method::GET, &path, &query)
            .await?
            .success("a listing")?;
        Ok(())
    }
}
