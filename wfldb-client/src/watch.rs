//! The changes of a bucket as they come: one stream over as many requests as it takes. It goes on where it was when a
//! connection breaks or the server restarts, and tells each change once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use wfldb_core::auth::Method;
use wfldb_core::id::BucketId;
use wfldb_core::limits::CHANGES_LIMIT_MAX;
use wfldb_core::name::{BucketName, KeyPrefix};
use wfldb_net::changes::{Change, Line, Page};

use crate::bucket::parse;
use crate::call::{Call, bucket_path, next_piece};
use crate::{Client, Error};

/// The longest line of a feed: a change of 1,000 keys of the longest, with room.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The first wait before a feed is asked for again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchFrom {
    /// Behind this `seq`; 0 is the beginning.
    Seq(u64),
    /// Behind what is there when the stream begins.
    Now,
}

/// Which changes, and for how long.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// Where to begin.
    pub from: WatchFrom,
    /// The bucket that `from` is of, as [`Changes::bucket`] gave it: another bucket of the same name is an error then.
    pub bucket: Option<BucketId>,
    /// Only keys that begin so.
    pub prefix: KeyPrefix,
    /// Wait for what comes; otherwise the stream ends with what is there.
    pub follow: bool,
    /// How long the server may be away before that is an error.
    pub patience: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            from: WatchFrom::Seq(0),
            bucket: None,
            prefix: KeyPrefix::all(),
            follow: true,
            patience: Duration::from_mins(5),
        }
    }
}

/// The changes of a bucket, in the order of their commits.
pub struct Changes {
    client: Client,
    path: String,
    options: WatchOptions,
    waiting: VecDeque<Change>,
    feed: Option<Feed>,
    /// `follow` is off, and the last page was read.
    at_end: bool,
    away_since: Option<Instant>,
    wait: Duration,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes")
            .field("path", &self.path)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// An answer that goes on.
struct Feed {
    body: Incoming,
    lines: Lines,
    _permit: OwnedSemaphorePermit,
}

/// Cuts what arrives into lines.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Up to here there is no end of a line.
    searched: usize,
}

impl Lines {
    fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        if self.buffer.len().saturating_add(piece.len()) > LINE_BYTES_MAX {
            return Err(Error::Corrupt("a line of the feed is too long".to_owned()));
        }
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    /// The next whole line that is not empty.
    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let rest = self.buffer.get(self.searched..)?;
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let behind = self.searched + end + 1;
            let mut line: Vec<u8> = self.buffer.drain(..behind).collect();
            self.searched = 0;
            line.pop();
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

impl Client {
    /// The changes of a bucket. Nothing is asked until the first is wanted.
    ///
    /// ```no_run
    /// # async fn example(client: wfldb_client::Client) -> Result<(), wfldb_client::Error> {
    /// use wfldb_client::{WatchFrom, WatchOptions};
    /// use wfldb_core::name::BucketName;
    ///
    /// let bucket = BucketName::parse("photos").unwrap();
    /// let mut changes = client.watch(&bucket, WatchOptions { from: WatchFrom::Now, ..Default::default() });
    /// while let Some(change) = changes.next().await? {
    ///     println!("{} {:?}", change.seq, change.changes);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self, bucket: &BucketName, options: WatchOptions) -> Changes {
        Changes {
            client: self.clone(),
            path: format!("{}/_changes", bucket_path(bucket)),
            options,
            waiting: VecDeque::new(),
            feed: None,
            at_end: false,
            away_since: None,
            wait: FIRST_WAIT,
        }
    }
}

impl Changes {
    /// The bucket's id, once the server has told it.
    pub fn bucket(&self) -> Option<BucketId> {
        self.options.bucket
    }

    /// Where the stream stands: what a later one begins with. `None` while it begins with what comes.
    pub fn last_seq(&self) -> Option<u64> {
        match (self.waiting.front(), self.options.from) {
            (Some(next), _) => Some(next.seq.saturating_sub(1)),
            (None, WatchFrom::Seq(seq)) => Some(seq),
            (None, WatchFrom::Now) => None,
        }
    }

    /// The next change; `None` when `follow` is off and all were told.
    ///
    /// # Errors
    /// `Api`: among others 410 when changes are not kept any more, or the bucket is another one. `Transport` when the
    /// server was away for longer than `patience`. `Corrupt` when it contradicts itself.
    pub async fn next(&mut self) -> Result<Option<Change>, Error> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                return Ok(Some(change));
            }
            if self.at_end {
                return Ok(None);
            }
            let read = if self.options.follow {
                self.read_on().await
            } else {
                self.read_page().await
            };
            match read {
                Ok(()) => {
                    self.away_since = None;
                    self.wait = FIRST_WAIT;
                }
                Err(error) => self.pause(error).await?,
            }
        }
    }

    /// Waits before the next attempt, unless the failure is one that stays.
    async fn pause(&mut self, error: Error) -> Result<(), Error> {
        self.feed = None;
        let passes = match &error {
            Error::Transport(_) => true,
            Error::Api(api) => matches!(api.status, 429 | 502 | 503 | 504),
            _ => false,
        };
        let away = self.away_since.get_or_insert_with(Instant::now).elapsed();
        if !passes || !self.options.follow || away > self.options.patience {
            return Err(error);
        }
        tokio::time::sleep(self.wait).await;
        self.wait = self.wait.saturating_mul(2).min(WAIT_MAX);
        Ok(())
    }

    fn call(&self, feed: &'static str) -> Call {
        let since = match self.options.from {
            WatchFrom::Seq(seq) => seq.to_string(),
            WatchFrom::Now => "now".to_owned(),
        };
        let mut pairs = vec![("feed", feed.to_owned()), ("since", since)];
        pairs.extend(self.options.bucket.map(|bucket| ("bucket", bucket.to_string())));
        if !self.options.prefix.is_all() {
            pairs.push(("prefix", self.options.prefix.to_string()));
        }
        if feed == "normal" {
            pairs.push(("limit", CHANGES_LIMIT_MAX.to_string()));
        }
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Call::new(Method::Get, self.path.clone())
            .by_session()
            .query(&pairs)
    }

    /// A page of what is there.
    async fn read_page(&mut self) -> Result<(), Error> {
        let call = self.call("normal");
        let page: Page = parse(&self.client.caller.send(&call).await?.bytes().await?)?;
        for change in page.results {
            self.take(change)?;
        }
        self.moved(page.last_seq);
        self.options.bucket = Some(page.bucket);
        self.at_end = !page.more;
        Ok(())
    }

    /// Reads a feed until there is a line of it, opening it where there is none.
    async fn read_on(&mut self) -> Result<(), Error> {
        let mut feed = if let Some(feed) = self.feed.take() {
            feed
        } else {
            let answer = self.client.caller.send(&self.call("continuous")).await?;
            Feed {
                body: answer.body,
                lines: Lines::default(),
                _permit: answer.permit,
            }
        };
        let Some(piece) = next_piece(&mut feed.body).await? else {
            // It ended in order; its last line said where. What ended it for good is told by the next answer.
            return Err(Error::Transport("the feed ended".to_owned()));
        };
        feed.lines.push(&piece)?;
        while let Some(line) = feed.lines.next() {
            match parse(&line)? {
                Line::Change(change) => self.take(change)?,
                Line::Place(place) => {
                    self.options.bucket = place.bucket.or(self.options.bucket);
                    self.moved(place.last_seq);
                }
            }
        }
        self.feed = Some(feed);
        Ok(())
    }

    fn take(&mut self, change: Change) -> Result<(), Error> {
        if matches!(self.options.from, WatchFrom::Seq(seq) if change.seq <= seq) {
            return Err(Error::Corrupt("a change came twice".to_owned()));
        }
        self.options.from = WatchFrom::Seq(change.seq);
        self.waiting.push_back(change);
        Ok(())
    }

    /// Everything up to here was told.
    fn moved(&mut self, to: u64) {
        self.options.from = match self.options.from {
            WatchFrom::Seq(seq) => WatchFrom::Seq(seq.max(to)),
            WatchFrom::Now => WatchFrom::Seq(to),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the pieces are cut. A defect it catches: a line that is told in two halves.
    #[test]
    fn lines_are_whole_wherever_the_pieces_are_cut() {
        let text = b"{\"a\":1}\n\n{\"b\":2}\n{\"last";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                lines.push(piece).unwrap();
                while let Some(line) = lines.next() {
                    found.push(line);
                }
            }
            assert_eq!(found, [b"{\"a\":1}".to_vec(), b"{\"b\":2}".to_vec()], "{size}");
            assert_eq!(lines.buffer, b"{\"last");
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let mut lines = Lines::default();
        let piece = vec![b' '; LINE_BYTES_MAX];
        lines.push(&piece).unwrap();
        assert!(lines.next().is_none());
        assert!(lines.push(b" ").is_err());
    }
}
