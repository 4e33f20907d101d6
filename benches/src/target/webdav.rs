//! nginx: files in, files out, over either version of HTTP. It neither authenticates nor syncs.

use http::Request;

use super::{Operation, Target};
use crate::Failure;
use crate::body::{Outgoing, Payload};
use crate::http_client::{HttpClient, Keep, Version};

pub(crate) struct WebDav {
    http: HttpClient,
    version: Version,
}

impl WebDav {
    pub(crate) fn new(address: &str, version: Version, connections: usize) -> Self {
        let http = HttpClient::new(address, version, connections);
        Self {
            // Over HTTP/2 nginx holds back the last bytes of an answer, whatever `tcp_nodelay` says.
            http: if version == Version::Http2 {
                http.prompt()
            } else {
                http
            },
            version,
        }
    }

    fn request(&self, method: &str, key: &str, body: Outgoing) -> Result<Request<Outgoing>, Failure> {
        let address = self.http.address();
        let request = Request::builder().method(method);
        // Files of their own for each version: both are served from one directory.
        Ok(match self.version {
            Version::Http1 => request.uri(format!("/1-{key}")).header("host", address),
            Version::Http2 => request.uri(format!("http://{address}/2-{key}")),
        }
        .body(body)?)
    }
}

impl Target for WebDav {
    type Prepared = Outgoing;

    fn refuses(&self, operation: Operation, _size: u64) -> Option<&'static str> {
        match operation {
            Operation::Scan => Some("WebDAV here has no listing"),
            Operation::Batch => Some("WebDAV has no batch of writes"),
            Operation::Put | Operation::Get | Operation::Mixed | Operation::Delete => None,
        }
    }

    async fn prepare(&self, payload: Payload) -> Result<Outgoing, Failure> {
        Ok(Outgoing::of(&payload))
    }

    async fn put(&self, client: usize, key: String, body: Outgoing) -> Result<(), Failure> {
        let request = self.request("PUT", &key, body)?;
        self.http
            .send(client, request, Keep::Count)
            .await?
            .success("PUT")?;
        Ok(())
    }

    async fn get(&self, client: usize, key: String, size: u64) -> Result<(), Failure> {
        let request = self.request("GET", &key, Outgoing::empty())?;
        let answer = self.http.send(client, request, Keep::Count).await?;
        answer.success("GET")?.of_len(size)?;
        Ok(())
    }

    async fn delete(&self, client: usize, key: String) -> Result<(), Failure> {
        let request = self.request("DELETE", &key, Outgoing::empty())?;
        self.http
            .send(client, request, Keep::Count)
            .await?
            .success("DELETE")?;
        Ok(())
    }
}
