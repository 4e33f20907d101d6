//! Signed requests over plain HTTP/1.1, byte by byte, so that a test can send what no client would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use wfldb_client::Profile;
use wfldb_core::auth::Method;
use wfldb_core::id::Nonce;
use wfldb_core::object::ContentDigest;
use wfldb_core::request::{RequestToSign, sign};
use wfldb_core::time::UnixMillis;

/// A request before it is sent; every part can be changed after signing.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method as sent.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Header lines as sent, without `host` and `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body as sent.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether it succeeded.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether all of the body came that the head announced.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let announced = self.header("content-length").and_then(|len| len.parse().ok());
        announced.is_none_or(|len: usize| self.body.len() == len)
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The `code` of a problem+json body.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get("code")?.as_str()?.to_owned())
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap())
}

impl Request {
    /// A request signed with `profile`; `headers` are signed too.
    #[must_use]
    pub fn signed(
        profile: &Profile,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Self {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let to_sign = RequestToSign {
            method: Method::parse(method).unwrap(),
            path,
            query,
            timestamp: now(),
            nonce: Nonce::from_bytes(nonce),
            content: ContentDigest::of(body),
            headers,
        };
        let mut signed = sign(&to_sign, &profile.packet, &profile.realm.audience(), &profile.key).unwrap();
        signed.extend(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: signed,
            body: body.to_vec(),
        }
    }

    /// The request as bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nhost: wfldb\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        if !self.body.is_empty() || self.method == "PUT" || self.method == "POST" {
            text.push_str("content-length: ");
            text.push_str(&self.body.len().to_string());
            text.push_str("\r\n");
        }
        text.push_str("connection: close\r\n\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a connection of its own; `None` when there was no whole head of an answer.
    #[must_use]
    pub fn try_send(&self, address: &str) -> Option<Answer> {
        send_on(TcpStream::connect(address).ok()?, &self.bytes())
    }

    /// Sends it on a connection of its own.
    #[must_use]
    pub fn send(&self, address: &str) -> Answer {
        send_raw(address, &self.bytes()).expect("an answer")
    }
}

/// Sends bytes, closes the sending half, and parses what comes back; `None` when it is no HTTP answer.
#[must_use]
pub fn send_raw(address: &str, bytes: &[u8]) -> Option<Answer> {
    send_on(TcpStream::connect(address).unwrap(), bytes)
}

/// The same on a connection that is there already.
#[must_use]
pub fn send_on(mut stream: TcpStream, bytes: &[u8]) -> Option<Answer> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    send_over(&mut stream, bytes)
}

/// The same on anything that carries bytes.
#[must_use]
pub fn send_over(stream: &mut (impl Read + Write), bytes: &[u8]) -> Option<Answer> {
    // The server may answer, and close, before it has read everything.
    let _ = stream.write_all(bytes);
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    parse(&received)
}

/// Reads one answer with a `content-length` from a connection that stays open.
#[must_use]
pub fn read_answer(stream: &mut impl Read) -> Option<Answer> {
    let mut received = Vec::new();
    loop {
        if let Some(answer) = parse(&received).filter(Answer::is_complete) {
            return Some(answer);
        }
        let mut some = [0; 4096];
        let read = stream.read(&mut some).ok().filter(|read| *read > 0)?;
        received.extend_from_slice(some.get(..read)?);
    }
}

fn parse(received: &[u8]) -> Option<Answer> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = received.split_at_checked(end + 4)?;
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunk(body)? } else { body.to_vec() };
    Some(Answer {
        status,
        headers,
        body,
    })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let (len, behind) = rest.split_at_checked(end)?;
        let len = usize::from_str_radix(std::str::from_utf8(len).ok()?, 16).ok()?;
        let behind = behind.get(2..)?;
        if len == 0 {
            return Some(body);
        }
        body.extend_from_slice(behind.get(..len)?);
        rest = behind.get(len + 2..)?;
    }
}
