//! HTTP/2 frame by frame, so that a test can send what no client would.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::Request;

/// Kinds of frames.
pub mod kind {
    #![expect(missing_docs, reason = "RFC 9113, section 6")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Nothing follows on the stream; of PING and SETTINGS: an answer.
pub const END_STREAM: u8 = 1;
/// No CONTINUATION follows.
pub const END_HEADERS: u8 = 4;

/// A frame's bytes.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![high, middle, low, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header block without compression: each field as a literal that is not kept.
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// RFC 7541, 5.2: a length in seven bits, the rest of it seven bits at a time; then the bytes.
fn text(block: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(len) if len < 127 => block.push(len),
        _ => {
            block.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
    }
    block.extend(text.as_bytes());
}

/// The header block of a request.
#[must_use]
pub fn request_block(method: &str, target: &str, headers: &[(String, String)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "http"),
        (":path", target),
        (":authority", "wfldb"),
    ];
    fields.extend(
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    block(&fields)
}

/// A connection whose answers are read beside.
#[derive(Debug)]
pub struct Http2 {
    stream: TcpStream,
    received: Receiver<(u8, Vec<u8>)>,
}

impl Http2 {
    /// Connects and sends preface and settings, each of six bytes.
    #[must_use]
    pub fn connect(address: &str, settings: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        stream.write_all(&frame(kind::SETTINGS, 0, 0, settings)).unwrap();
        let (sender, received) = channel();
        let mut reading = stream.try_clone().unwrap();
        // Ends with the connection.
        std::thread::spawn(move || {
            let mut head = [0; 9];
            while reading.read_exact(&mut head).is_ok() {
                let [high, middle, low, kind, flags, ..] = head;
                let mut payload =
                    vec![0; usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)];
                if reading.read_exact(&mut payload).is_err() {
                    return;
                }
                if kind == kind::PING && flags == 0 {
                    // Not answering would end the connection for another reason.
                    let _ = reading.write_all(&frame(kind::PING, END_STREAM, 0, &payload));
                }
                if sender.send((kind, payload)).is_err() {
                    return;
                }
            }
        });
        Self { stream, received }
    }

    /// Sends bytes; whether the server still takes them.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends the head of a request.
    pub fn begin(&mut self, stream: u32, request: &Request, flags: u8) -> bool {
        let block = request_block(&request.method, &request.target, &request.headers);
        self.send(&frame(kind::HEADERS, flags | END_HEADERS, stream, &block))
    }

    /// Waits for a frame of that kind; `None` when the connection ended before, or at the time's end.
    #[must_use]
    pub fn wait_for(&self, wanted: u8, within: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (kind, payload) = self.received.recv_timeout(left).ok()?;
            if kind == wanted {
                return Some(payload);
            }
        }
    }

    /// Waits until the server has closed the connection; whether it did.
    #[must_use]
    pub fn ends(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.received.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
