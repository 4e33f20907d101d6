//! A server that answers each request as the test says, over real sockets and HTTP/2.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use wfldb_client::retry::RetryPolicy;
use wfldb_client::{Client, ClientOptions, Profile};
use wfldb_core::id::KeyId;

use crate::local::profile_text;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Bytes,
}

/// What to do with it.
pub(crate) enum Reply {
    Answer(Response<Full<Bytes>>),
    /// Break the connection before an answer.
    Hang,
}

/// A running server and what it saw.
pub(crate) struct Fake {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// Starts one. `reply` gets the number of the request, from 0, and the request.
    pub(crate) async fn start(reply: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (reply, noted) = (Arc::new(reply), Arc::clone(&seen));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (reply, noted, broken) =
                    (Arc::clone(&reply), Arc::clone(&noted), Arc::new(Notify::new()));
                let hang = Arc::clone(&broken);
                let service = service_fn(move |request: Request<Incoming>| {
                    let (reply, noted, broken) =
                        (Arc::clone(&reply), Arc::clone(&noted), Arc::clone(&broken));
                    async move {
                        let seen = read(request).await;
                        let number = {
                            let mut all = noted.lock().unwrap();
                            all.push(seen.clone());
                            all.len() - 1
                        };
                        match reply(number, &seen) {
                            Reply::Answer(answer) => Ok::<_, std::convert::Infallible>(answer),
                            Reply::Hang => {
                                broken.notify_one();
                                std::future::pending().await
                            }
                        }
                    }
                });
                tokio::spawn(async move {
                    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        _ = connection => {}
                        () = hang.notified() => {}
                    }
                });
            }
        });
        Self { port, seen }
    }

    /// A client that signs each request.
    pub(crate) fn client(&self) -> Client {
        self.client_with(false)
    }

    pub(crate) fn client_with(&self, sessions: bool) -> Client {
        Self::client_as(self.profile(), sessions)
    }

    /// A client whose profile names the server's own key.
    pub(crate) fn client_of_node(&self, node: KeyId) -> Client {
        let profile = Profile {
            node: Some(node),
            ..self.profile()
        };
        Self::client_as(profile, true)
    }

    fn profile(&self) -> Profile {
        Profile::parse(&profile_text(&format!("http://127.0.0.1:{}", self.port))).unwrap()
    }

    fn client_as(profile: Profile, sessions: bool) -> Client {
        let retry = RetryPolicy {
            attempts_max: 4,
            ..RetryPolicy::default()
        };
        Client::with_options(
            profile,
            ClientOptions {
                retry,
                sessions,
                ..ClientOptions::default()
            },
        )
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn read(request: Request<Incoming>) -> Seen {
    let (parts, body) = request.into_parts();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    Seen {
        method: parts.method.to_string(),
        target: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default(),
    }
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Reply::Answer(response.body(Full::new(body.into())).unwrap())
}

/// A refusal with the members that a client looks at.
pub(crate) fn problem(status: u16, code: &str, hint: Option<&str>, headers: &[(&str, &str)]) -> Reply {
    let hint = hint
        .map(|hint| format!(r#","hint":"{hint}""#))
        .unwrap_or_default();
    let body = format!(r#"{{"status":{status},"code":"{code}","detail":"no","request_id":"r1"{hint}}}"#);
    answer(status, headers, body)
}
