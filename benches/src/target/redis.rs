//! Redis in its own protocol (RESP) over one connection for each client.

use std::fmt::Write as _;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::{Operation, Target};
use crate::Failure;
use crate::body::Payload;

/// Redis refuses strings over 512 MB.
const BODY_BYTES_MAX: u64 = 512_000_000;

pub(crate) struct Redis {
    address: String,
    slots: Vec<Mutex<Option<BufReader<TcpStream>>>>,
}

/// What Redis answers to our commands.
enum Reply {
    Ok,
    Count(u64),
    Bytes(u64),
    Nothing,
}

impl Redis {
    pub(crate) fn new(address: &str, clients: usize) -> Self {
        Self {
            address: address.to_owned(),
            slots: std::iter::repeat_with(|| Mutex::new(None))
                .take(clients.max(1))
                .collect(),
        }
    }

    /// Sends a command, whose last argument may be a body, and reads the answer.
    async fn command(&self, client: usize, words: &[&str], body: Option<&Payload>) -> Result<Reply, Failure> {
        let slot = self.slots.get(client % self.slots.len()).ok_or("no connection")?;
        let mut held = slot.lock().await;
        let mut stream = if let Some(stream) = held.take() {
            stream
        } else {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            BufReader::with_capacity(64 << 10, stream)
        };
        send(&mut stream, words, body).await?;
        let reply = reply(&mut stream).await?;
        // A connection that failed is not kept.
        *held = Some(stream);
        Ok(reply)
    }
}

async fn send(
    stream: &mut BufReader<TcpStream>,
    words: &[&str],
    body: Option<&Payload>,
) -> Result<(), Failure> {
    let mut head = format!("*{}\r\n", words.len() + usize::from(body.is_some()));
    for word in words {
        write!(head, "${}\r\n{word}\r\n", word.len())?;
    }
    let Some(body) = body else {
        return Ok(stream.write_all(head.as_bytes()).await?);
    };
    write!(head, "${}\r\n", body.len())?;
    let mut bytes = head.into_bytes();
    match body {
        Payload::Bytes(body) => bytes.extend_from_slice(body),
        Payload::File(source) => {
            stream.write_all(&bytes).await?;
            bytes.clear();
            let mut file = tokio::fs::File::open(&source.path).await?;
            let mut piece = vec![0; 1 << 20];
            loop {
                let len = file.read(&mut piece).await?;
                if len == 0 {
                    break;
                }
                stream.write_all(piece.get(..len).unwrap_or_default()).await?;
            }
        }
    }
    bytes.extend_from_slice(b"\r\n");
    Ok(stream.write_all(&bytes).await?)
}

async fn reply(stream: &mut BufReader<TcpStream>) -> Result<Reply, Failure> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let line = line.trim_end();
    if line.starts_with('+') {
        return Ok(Reply::Ok);
    }
    if let Some(count) = line.strip_prefix(':') {
        return Ok(Reply::Count(count.parse()?));
    }
    if line == "$-1" {
        return Ok(Reply::Nothing);
    }
    let Some(len) = line.strip_prefix('$') else {
        return Err(format!("redis said {line:?}").into());
    };
    let len: u64 = len.parse()?;
    let read = tokio::io::copy(&mut stream.take(len + 2), &mut tokio::io::sink()).await?;
    if read == len + 2 {
        return Ok(Reply::Bytes(len));
    }
    Err("the answer was cut short".into())
}

impl Target for Redis {
    type Prepared = Payload;

    fn refuses(&self, operation: Operation, size: u64) -> Option<&'static str> {
        match operation {
            _ if size > BODY_BYTES_MAX => Some("redis takes strings up to 512 MB"),
            Operation::Scan => Some("redis keeps keys in no order"),
            Operation::Batch => Some("redis' MSET is not measured"),
            Operation::Put | Operation::Get | Operation::Mixed | Operation::Delete => None,
        }
    }

    async fn prepare(&self, payload: Payload) -> Result<Payload, Failure> {
        Ok(payload)
    }

    async fn put(&self, client: usize, key: String, body: Payload) -> Result<(), Failure> {
        match self.command(client, &["SET", &key], Some(&body)).await? {
            Reply::Ok => Ok(()),
            _ => Err("redis did not confirm SET".into()),
        }
    }

    async fn get(&self, client: usize, key: String, size: u64) -> Result<(), Failure> {
        match self.command(client, &["GET", &key], None).await? {
            Reply::Bytes(len) if len == size => Ok(()),
            _ => Err("redis gave other bytes than were stored".into()),
        }
    }

    async fn delete(&self, client: usize, key: String) -> Result<(), Failure> {
        match self.command(client, &["DEL", &key], None).await? {
            Reply::Count(1) => Ok(()),
            _ => Err("nothing was there to delete".into()),
        }
    }
}
