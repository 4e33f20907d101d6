//! The changes of a bucket: what a request for them asks, and the shapes of what is answered.
//!
//! Server and client share the shapes; how a feed frames them is in [`Framing`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wfldb_core::id::{BucketId, ContentHash, Seq, VersionId};
use wfldb_core::limits::JSON_INTEGER_MAX;
use wfldb_core::name::{KeyPrefix, ObjectKey};
use wfldb_core::time::UnixMillis;

use crate::route::decimal;
use crate::text;

/// How long a feed is silent where its request does not say.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// How changes are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FeedKind {
    /// One page of what is there.
    #[default]
    Normal,
    /// One page, as soon as there is something on it.
    LongPoll,
    /// A line of JSON for each change, as they come.
    Continuous,
    /// The same as server-sent events.
    EventSource,
}

impl FeedKind {
    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::LongPoll => "longpoll",
            Self::Continuous => "continuous",
            Self::EventSource => "eventsource",
        }
    }

    /// Reads the wire form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Normal, Self::LongPoll, Self::Continuous, Self::EventSource]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Where a feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinceQuery {
    /// Behind this.
    Seq(Seq),
    /// Behind what is there.
    Now,
}

impl Default for SinceQuery {
    fn default() -> Self {
        Self::Seq(Seq::default())
    }
}

impl SinceQuery {
    /// Reads the wire form: a `seq`, 0 for the beginning, or `now`. As `last-event-id` too.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "now" => Some(Self::Now),
            "0" => Some(Self::default()),
            _ => decimal(text)
                .filter(|seq| *seq <= JSON_INTEGER_MAX)
                .map(|seq| Self::Seq(Seq::new(seq))),
        }
    }
}

/// The parameters of `_changes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesQuery {
    /// Where it begins.
    pub since: SinceQuery,
    /// The bucket that `since` is of.
    pub bucket: Option<BucketId>,
    /// What the keys begin with.
    pub prefix: KeyPrefix,
    /// Most changes of the answer, 1 to 1000; `None`: a page's, or no end.
    pub limit: Option<usize>,
    /// How.
    pub kind: FeedKind,
    /// How long it waits or lasts.
    pub timeout: Option<Duration>,
    /// How long it is silent at most.
    pub heartbeat: Duration,
}

/// What a change did to one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// `put`, `delete`, `restore`, `erase`, `prune`, `expire`. A reader passes over words that it does not know.
    pub op: String,
    /// The key.
    #[serde(with = "text")]
    pub key: ObjectKey,
    /// The version that was written or removed.
    #[serde(with = "text")]
    pub version: VersionId,
    /// BLAKE3 of the bytes that were stored; `None` when none were, and when the version is not there any more.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub etag: Option<ContentHash>,
    /// Their length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// What was committed together, as far as the caller may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its number in the bucket.
    pub seq: u64,
    /// When it was committed.
    #[serde(with = "text")]
    pub at: UnixMillis,
    /// What it did, in order.
    pub changes: Vec<KeyChange>,
}

/// One page: the answer of `normal` and `longpoll`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The bucket's id.
    #[serde(with = "text")]
    pub bucket: BucketId,
    /// The changes, in the order of their commits.
    pub results: Vec<Change>,
    /// Everything up to here was looked at.
    pub last_seq: u64,
    /// There is more behind it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// What a feed says beside its changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The bucket's id; in the first one only.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketId>,
    /// Everything up to here was looked at.
    pub last_seq: u64,
    /// Why nothing comes any more; in the last one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// One line of a continuous feed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A change.
    Change(Change),
    /// Anything else.
    Place(Place),
}

/// How the pieces of a feed stand in its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A line of JSON each.
    Lines,
    /// Server-sent events.
    Events,
}

impl Framing {
    /// The body's type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }

    /// Adds the JSON of a change.
    pub fn change(self, out: &mut Vec<u8>, seq: u64, json: &[u8]) {
        match self {
            Self::Lines => {}
            Self::Events => out.extend_from_slice(format!("id: {seq}\ndata: ").as_bytes()),
        }
        self.end(out, json);
    }

    /// Adds the JSON of the first or last place. An event source must not come back to a feed that ended for good, nor
    /// take it for a change, so these are events of their own names.
    pub fn place(self, out: &mut Vec<u8>, event: &'static str, seq: u64, json: &[u8]) {
        match self {
            Self::Lines => {}
            Self::Events => out.extend_from_slice(format!("id: {seq}\nevent: {event}\ndata: ").as_bytes()),
        }
        self.end(out, json);
    }

    fn end(self, out: &mut Vec<u8>, json: &[u8]) {
        out.extend_from_slice(json);
        out.extend_from_slice(match self {
            Self::Lines => b"\n",
            Self::Events => b"\n\n",
        });
    }

    /// Adds a sign of life; with where the feed stands, when that has moved since it was said last.
    pub fn heartbeat(self, out: &mut Vec<u8>, moved_to: Option<u64>) {
        match (self, moved_to) {
            (Self::Lines, None) => out.push(b'\n'),
            (Self::Lines, Some(seq)) => out.extend_from_slice(format!("{{\"last_seq\":{seq}}}\n").as_bytes()),
            (Self::Events, None) => out.extend_from_slice(b":\n\n"),
            // An event without data: the source remembers the id and tells nobody.
            (Self::Events, Some(seq)) => out.extend_from_slice(format!("id: {seq}\n\n").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_change_or_a_place_and_never_both() {
        let change = r#"{"seq":17,"at":"2026-01-02T03:04:05.006Z","changes":[{"op":"put","key":"a","version":"01JGFJJZ00AAAAAAAAAAAAAAAA","size":3}]}"#;
        let Line::Change(read) = serde_json::from_str(change).unwrap() else {
            panic!("not a change");
        };
        assert_eq!(serde_json::to_string(&read).unwrap(), change);
        for place in [
            r#"{"bucket":"00112233445566778899aabbccddeeff","last_seq":0}"#,
            r#"{"last_seq":4}"#,
            r#"{"last_seq":4,"end":"stopping"}"#,
        ] {
            let Line::Place(read) = serde_json::from_str(place).unwrap() else {
                panic!("not a place");
            };
            assert_eq!(serde_json::to_string(&read).unwrap(), place);
        }
    }

    /// By the parsing rules of server-sent events. A defect it catches: an event that ends in the middle of its data.
    #[test]
    fn each_piece_of_a_feed_ends_where_the_next_begins() {
        let mut lines = Vec::new();
        let mut events = Vec::new();
        for (framing, out) in [(Framing::Lines, &mut lines), (Framing::Events, &mut events)] {
            framing.place(out, "begin", 3, b"{\"last_seq\":3}");
            framing.change(out, 4, b"{\"seq\":4}");
            framing.heartbeat(out, None);
            framing.heartbeat(out, Some(6));
        }
        assert_eq!(lines, b"{\"last_seq\":3}\n{\"seq\":4}\n\n{\"last_seq\":6}\n");
        assert_eq!(
            events,
            b"id: 3\nevent: begin\ndata: {\"last_seq\":3}\n\nid: 4\ndata: {\"seq\":4}\n\n:\n\nid: 6\n\n"
        );
    }
}
