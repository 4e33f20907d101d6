//! What an HTTP/1.1 head says before the HTTP library reads it.
//!
//! The library drops `content-length` when `transfer-encoding` is there too, and cuts a target off at `#`, so a
//! handler cannot see either any more. Both are how requests are smuggled past a proxy that reads them another
//! way. [`HeadGuard`] sees the same bytes first and leaves one [`Verdict`] per request head.
//!
//! Not here: parsing for use. The guard only adds refusals; what it does not understand is left to the library.

/// What is wrong with a head, if anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// `content-length` and `transfer-encoding` stand in one head.
    pub two_lengths: bool,
    /// The request line contains `#`.
    pub fragment: bool,
    /// The body is chunked (or anything else that is not a length): the connection must end with the answer,
    /// because the guard does not follow the body to the next head.
    pub transfer_encoding: bool,
}

/// Longest part of a header line that is looked at: every name and length that matters is shorter.
const LINE_BYTES_KEPT: usize = 64;

/// Follows one connection's received bytes from head to head. Keeps a few dozen bytes, whatever arrives.
#[derive(Debug)]
pub struct HeadGuard {
    state: State,
    line: [u8; LINE_BYTES_KEPT],
    line_bytes: usize,
    line_cut: bool,
    request_line_seen: bool,
    verdict: Verdict,
    length: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body { left: u64 },
    Done,
}

impl Default for HeadGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadGuard {
    /// Starts before the first byte of a connection.
    pub const fn new() -> Self {
        Self {
            state: State::Head,
            line: [0; LINE_BYTES_KEPT],
            line_bytes: 0,
            line_cut: false,
            request_line_seen: false,
            verdict: Verdict {
                two_lengths: false,
                fragment: false,
                transfer_encoding: false,
            },
            length: None,
        }
    }

    /// True when no later byte of this connection matters: HTTP/2, or a body that has no length.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the next received bytes and calls `report` once for each head that ends in them, in order.
    pub fn observe(&mut self, mut bytes: &[u8], mut report: impl FnMut(Verdict)) {
        while !bytes.is_empty() {
            match self.state {
                State::Done => return,
                State::Body { left } => {
                    let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(left);
                    let (_, rest) = bytes.split_at(usize::try_from(here).unwrap_or(bytes.len()));
                    bytes = rest;
                    self.state = if here == left {
                        State::Head
                    } else {
                        State::Body { left: left - here }
                    };
                }
                State::Head => match bytes.iter().position(|byte| *byte == b'\n') {
                    None => {
                        self.keep(bytes);
                        return;
                    }
                    Some(end) => {
                        let (line, rest) = bytes.split_at(end);
                        self.keep(line);
                        bytes = rest.get(1..).unwrap_or_default();
                        if let Some(verdict) = self.end_line() {
                            report(verdict);
                        }
                    }
                },
            }
        }
    }

    fn keep(&mut self, part: &[u8]) {
        if !self.request_line_seen && part.contains(&b'#') {
            self.verdict.fragment = true;
        }
        for byte in part {
            if let Some(slot) = self.line.get_mut(self.line_bytes) {
                *slot = *byte;
                self.line_bytes += 1;
            } else {
                self.line_cut = true;
                return;
            }
        }
    }

    /// A line has ended, with its beginning kept. Answers the verdict when it was the empty line behind a head.
    fn end_line(&mut self) -> Option<Verdict> {
        let line = self.line.get(..self.line_bytes).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            self.line_bytes = 0;
            // Empty lines before a request line are allowed and skipped.
            return if self.request_line_seen {
                Some(self.end_head())
            } else {
                None
            };
        }
        if self.request_line_seen {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let (name, value) = line.split_at(colon);
            if name.eq_ignore_ascii_case(b"transfer-encoding") {
                self.verdict.transfer_encoding = true;
                self.verdict.two_lengths |= self.length.is_some();
            } else if name.eq_ignore_ascii_case(b"content-length") {
                self.verdict.two_lengths |= self.verdict.transfer_encoding;
                let digits = value.get(1..).unwrap_or_default().trim_ascii();
                // A length that is not a number, or not the same number twice, is refused by the library,
                // which then closes the connection: which of the two is kept here does not matter.
                // SECURITY: a number that was cut off must not be taken for a shorter one, or the guard would
                // read heads inside the body. Without a verdict the next request is refused.
                let length = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| digits.parse().ok());
                self.length = Some(length.filter(|_| !self.line_cut).unwrap_or(u64::MAX));
            }
        } else {
            self.request_line_seen = true;
            if line.starts_with(b"PRI * HTTP/2.0") {
                self.state = State::Done;
            }
        }
        self.line_bytes = 0;
        self.line_cut = false;
        None
    }

    fn end_head(&mut self) -> Verdict {
        let verdict = std::mem::take(&mut self.verdict);
        let length = self.length.take().unwrap_or(0);
        self.request_line_seen = false;
        self.state = if verdict.transfer_encoding {
            State::Done
        } else if length == 0 {
            State::Head
        } else {
            State::Body { left: length }
        };
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8], step: usize) -> Vec<Verdict> {
        let mut guard = HeadGuard::new();
        let mut seen = Vec::new();
        for part in bytes.chunks(step) {
            guard.observe(part, |verdict| seen.push(verdict));
        }
        seen
    }

    #[test]
    fn one_verdict_per_head_however_the_bytes_are_cut() {
        let wire = b"\r\nPUT /a HTTP/1.1\r\nhost: x\r\nContent-Length: 9\r\n\r\nGET #x\r\n\r\nGET /b#c HTTP/1.1\r\n\r\nGET /c HTTP/1.1\nhost: #\n\n";
        let clean = Verdict::default();
        let fragment = Verdict {
            fragment: true,
            ..clean
        };
        for step in 1..=wire.len() {
            // The body holds what looks like a head up to its ninth byte; the tenth begins the next line.
            assert_eq!(run(wire, step), vec![clean, fragment, clean], "cut every {step}");
        }
    }

    #[test]
    fn two_lengths_are_seen_in_either_order() {
        for head in [
            "POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y\r\nCONTENT-LENGTH: 0\r\n\r\n",
        ] {
            let seen = run(head.as_bytes(), 7);
            assert_eq!(seen.len(), 1);
            assert!(seen[0].two_lengths && seen[0].transfer_encoding, "{head}");
        }
    }

    #[test]
    fn a_length_that_was_cut_off_hides_every_later_head() {
        let head = format!(
            "PUT / HTTP/1.1\r\ncontent-length:{}12\r\n\r\n",
            " ".repeat(LINE_BYTES_KEPT - 16)
        );
        let seen = run(format!("{head}xGET / HTTP/1.1\r\n\r\n").as_bytes(), 5);
        assert_eq!(seen, vec![Verdict::default()]);
    }

    #[test]
    fn http2_is_left_alone() {
        let mut guard = HeadGuard::new();
        guard.observe(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", |_| {
            panic!("no head in HTTP/2")
        });
        assert!(guard.is_done());
    }
}
