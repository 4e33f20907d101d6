//! A server on ports that the system picks, holders of keys, and a client that signs and sends one request.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::net::TcpStream;
use wfldb_core::auth::Method;
use wfldb_core::id::{Nonce, Role, SecretKey};
use wfldb_core::name::Audience;
use wfldb_core::object::ContentDigest;
use wfldb_core::packet::{self, Claims, Grant};
use wfldb_core::request::{RequestToSign, sign};
use wfldb_core::time::UnixMillis;
use wfldb_server::{Config, Server};

/// Both ways to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

pub(crate) const BOTH: [Http; 2] = [Http::One, Http::Two];

/// A server on a directory of its own.
pub(crate) struct Store {
    pub(crate) server: Server,
    dir: TempDir,
    root: SecretKey,
    /// The bootstrap's profile of full rights.
    pub(crate) admin: Holder,
}

/// Somebody with a key and a packet.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) key: SecretKey,
    pub(crate) packet: String,
    pub(crate) audience: Audience,
}

pub(crate) fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir);
    config.min_free_bytes = 0;
    config
}

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap())
}

fn seed() -> [u8; 32] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    seed
}

pub(crate) fn nonce() -> Nonce {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    Nonce::from_bytes(bytes)
}

impl Store {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a bucket `photos`.
    pub(crate) async fn photos() -> Self {
        let store = Self::new().await;
        let answer = store.send(Ask::new("PUT", "/v1/photos")).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        store
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        change(&mut config);
        let server = Server::start(config).await.unwrap();
        let text = std::fs::read_to_string(dir.path().join("bootstrap/admin.json")).unwrap();
        let profile: serde_json::Value = serde_json::from_str(&text).unwrap();
        let root = std::fs::read_to_string(dir.path().join("bootstrap/root.key")).unwrap();
        let admin = Holder {
            key: SecretKey::parse(profile["key"].as_str().unwrap()).unwrap(),
            packet: profile["packet"].as_str().unwrap().to_owned(),
            audience: server.realm().audience(),
        };
        Self {
            server,
            dir,
            root: SecretKey::parse(root.trim()).unwrap(),
            admin,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Stops, and keeps the directory.
    pub(crate) async fn keep(self) -> TempDir {
        self.server.stop().await.unwrap();
        self.dir
    }

    /// A server that was started on a directory, with this holder for its administrator.
    pub(crate) fn on(server: Server, dir: TempDir, admin: &Holder) -> Self {
        let root = std::fs::read_to_string(dir.path().join("bootstrap/root.key")).unwrap();
        Self {
            server,
            root: SecretKey::parse(root.trim()).unwrap(),
            admin: admin.clone(),
            dir,
        }
    }

    /// Stops and starts on the same directory.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    /// The same with another configuration.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self {
            server,
            dir,
            root,
            admin,
        } = self;
        server.stop().await.unwrap();
        let mut config = config(dir.path());
        change(&mut config);
        let server = Server::start(config).await.unwrap();
        Self {
            server,
            dir,
            root,
            admin,
        }
    }

    /// A holder of a fresh key with these grants, signed by the store's root.
    pub(crate) fn holder(&self, grants: &[&str]) -> Holder {
        self.holder_with(grants, |_| {})
    }

    pub(crate) fn holder_with(&self, grants: &[&str], change: impl FnOnce(&mut Claims)) -> Holder {
        let key = SecretKey::from_seed(seed());
        let seconds = now().seconds();
        let mut claims = Claims {
            iss: self.root.key_id(Role::Root),
            sub: key.key_id(Role::Client),
            aud: self.admin.audience.clone(),
            iat: seconds,
            nbf: seconds,
            exp: seconds + 3600,
            jti: nonce().to_string(),
            cap: grants
                .iter()
                .map(|grant| Grant::parse_json(grant).unwrap())
                .collect(),
            dlg: 0,
        };
        change(&mut claims);
        let packet = packet::issue(&self.root, Role::Root, &claims).unwrap();
        Holder {
            key,
            packet,
            audience: self.admin.audience.clone(),
        }
    }

    /// Whom `parent` passes its packet on to: a fresh key with these grants, for as long and with one link less to follow.
    pub(crate) fn delegate(parent: &Holder, grants: &[&str]) -> Holder {
        let key = SecretKey::from_seed(seed());
        let before = packet::Packet::parse(&parent.packet).unwrap();
        let mut claims = before.claims().clone();
        claims.iss = claims.sub;
        claims.sub = key.key_id(Role::Client);
        claims.dlg -= 1;
        claims.jti = nonce().to_string();
        claims.cap = grants
            .iter()
            .map(|grant| Grant::parse_json(grant).unwrap())
            .collect();
        Holder {
            key,
            packet: packet::delegate(&parent.key, &before, &claims).unwrap(),
            audience: parent.audience.clone(),
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.listen()).await.unwrap()
    }

    /// Sends a request of the administrator.
    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        let headers = ask.sign(&self.admin);
        self.deliver(&ask, headers).await
    }

    pub(crate) async fn send_as(&self, holder: &Holder, ask: Ask) -> Answer {
        let headers = ask.sign(holder);
        self.deliver(&ask, headers).await
    }

    /// Sends a request with exactly these headers.
    pub(crate) async fn deliver(&self, ask: &Ask, headers: Vec<(String, String)>) -> Answer {
        self.deliver_body(ask, headers, Full::new(Bytes::from(ask.body.clone())))
            .await
    }

    pub(crate) async fn deliver_body<B>(&self, ask: &Ask, headers: Vec<(String, String)>, body: B) -> Answer
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let response = self.open(ask, headers, body).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }

    /// Sends a request and returns when the head of its answer is there.
    pub(crate) async fn open<B>(
        &self,
        ask: &Ask,
        headers: Vec<(String, String)>,
        body: B,
    ) -> http::Response<hyper::body::Incoming>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = self.connect().await;
        self.open_on(stream, ask, headers, body).await
    }

    /// The same over a connection that is there already.
    pub(crate) async fn open_on<B>(
        &self,
        stream: TcpStream,
        ask: &Ask,
        headers: Vec<(String, String)>,
        body: B,
    ) -> http::Response<hyper::body::Incoming>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = TokioIo::new(stream);
        let host = self.server.listen().to_string();
        let target = ask.target();
        let uri = if ask.http == Http::Two {
            format!("http://{host}{target}")
        } else {
            target
        };
        let mut request = Request::builder().method(ask.method.as_str()).uri(uri);
        if ask.http == Http::One {
            request = request.header("host", host);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body).unwrap();
        match ask.http {
            Http::One => {
                let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
            Http::Two => {
                let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(4 << 20)
                    .initial_connection_window_size(8 << 20)
                    .max_frame_size(256 << 10)
                    .handshake(stream)
                    .await
                    .unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
        }
    }

    /// `GET` without any headers of ours.
    pub(crate) async fn plain(&self, http: Http, path: &str) -> Answer {
        let ask = Ask::new("GET", path).over(http);
        self.deliver(&ask, Vec::new()).await
    }

    /// Everything that is stored: keys with their etags, and versions in all.
    pub(crate) async fn contents(&self) -> (Vec<(String, String)>, u64) {
        let listing = self.send(Ask::new("GET", "/v1/photos/scan")).await.json();
        let items = listing["items"].as_array().unwrap().iter();
        let items = items
            .map(|item| (text(&item["key"]), text(&item["etag"])))
            .collect();
        let bucket = self.send(Ask::new("GET", "/v1/photos")).await.json();
        (items, bucket["usage"]["versions"].as_u64().unwrap())
    }
}

pub(crate) fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A request that is to be signed and sent.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) content: Option<ContentDigest>,
    pub(crate) timestamp: UnixMillis,
    pub(crate) nonce: Nonce,
    pub(crate) http: Http,
}

impl Ask {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            content: None,
            timestamp: now(),
            nonce: nonce(),
            http: Http::Two,
        }
    }

    pub(crate) fn over(mut self, http: Http) -> Self {
        self.http = http;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn at(mut self, timestamp: UnixMillis) -> Self {
        self.timestamp = timestamp;
        self
    }

    pub(crate) fn target(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        }
    }

    /// All headers of the signed request: the six, and those that are signed beside them.
    pub(crate) fn sign(&self, holder: &Holder) -> Vec<(String, String)> {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let to_sign = RequestToSign {
            method: Method::parse(&self.method).unwrap(),
            path: &self.path,
            query: &self.query,
            timestamp: self.timestamp,
            nonce: self.nonce,
            content: self.content.unwrap_or_else(|| ContentDigest::of(&self.body)),
            headers: &headers,
        };
        let mut all = sign(&to_sign, &holder.packet, &holder.audience, &holder.key).unwrap();
        all.extend(self.headers.iter().cloned());
        all
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem's code, after checking that it is a proper problem.
    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(
            problem["status"].as_u64(),
            Some(u64::from(self.status)),
            "{problem}"
        );
        assert_eq!(
            problem["request_id"].as_str(),
            Some(self.header("x-wfldb-request-id")),
            "{problem}"
        );
        assert_eq!(
            problem["type"],
            format!("urn:wfldb:problem:{}", text(&problem["code"]))
        );
        assert!(!text(&problem["title"]).is_empty() && !text(&problem["detail"]).is_empty());
        text(&problem["code"])
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{self:?}");
    }

    #[track_caller]
    pub(crate) fn ok(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status.as_u16(), "{self:?}");
        self
    }
}

/// Waits for what another task is about to do; a bound on the test, not a pause that it relies on.
pub(crate) async fn until(about: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "waited for {about}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Runs the rest of the test in a process of its own, where no other test's memory is counted; `true` in that process.
pub(crate) fn alone(test: &str) -> bool {
    const ALONE: &str = "WFLDB_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}{}",
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr)
    );
    false
}
