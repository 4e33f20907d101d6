//! What happened to a document: who changed what, how two versions differ, and who gave each member its value.

use serde_json::{Value, json};
use wfldb_client::{Client, Error, HistoryEntry};
use wfldb_core::doc::{Blame, Difference, Object, differences, parse_object, without_envelope};
use wfldb_core::id::VersionId;

use super::args::{BlameArgs, DiffArgs, LogArgs, Point};
use super::exit::Failure;
use super::output::{Output, shown};
use super::target::Target;

/// A version, read.
#[derive(Clone)]
struct Version {
    id: VersionId,
    seq: u64,
    modified: String,
    /// `_v`, `_by` and `_hash`; `null` on a tombstone.
    number: Value,
    by: Value,
    hash: Value,
    /// `_prev`.
    previous: Value,
    /// The user's members; `None`: it is a tombstone, or has ended.
    members: Option<Object>,
}

impl Version {
    fn of(entry: &HistoryEntry) -> Result<Self, Error> {
        let damaged = |_| Error::Transport("the server's answer is no document".to_owned());
        let document = entry.document.as_ref();
        let document = document.map(|document| parse_object(document.get().as_bytes()));
        let document = document.transpose().map_err(damaged)?;
        let member = |name| document.as_ref().and_then(|document| document.get(name)).cloned();
        Ok(Self {
            id: entry.version,
            seq: entry.seq,
            modified: entry.modified.to_string(),
            number: member("_v").unwrap_or_default(),
            by: member("_by").unwrap_or_default(),
            hash: member("_hash").unwrap_or_default(),
            previous: member("_prev").unwrap_or_default(),
            members: document.map(without_envelope),
        })
    }

    /// Whether versions between this one and the one below are not kept.
    fn skips_to(&self, below: Option<&Self>) -> bool {
        let Some(below) = below else {
            return !self.previous.is_null();
        };
        // A tombstone has no hash, and what comes after it names the document below it.
        self.members.is_some() && below.members.is_some() && self.previous != below.hash
    }

    fn by(&self) -> String {
        shown(self.by.as_str().unwrap_or_default()).into_owned()
    }

    fn json(&self) -> Object {
        let said = json!({
            "version": self.id.to_string(), "seq": self.seq, "modified": self.modified,
            "_v": self.number, "by": self.by, "hash": self.hash, "deleted": self.members.is_none(),
        });
        let mut said = said.as_object().cloned().unwrap_or_default();
        said.retain(|_, value| !value.is_null());
        said
    }
}

/// The versions of a document, newest first, as they are asked for.
struct Past<'a> {
    client: &'a Client,
    target: &'a Target,
    page: std::vec::IntoIter<HistoryEntry>,
    cursor: Option<String>,
    begun: bool,
}

impl<'a> Past<'a> {
    fn of(client: &'a Client, target: &'a Target) -> Self {
        Self {
            client,
            target,
            page: Vec::new().into_iter(),
            cursor: None,
            begun: false,
        }
    }

    async fn next(&mut self) -> Result<Option<Version>, Failure> {
        loop {
            if let Some(entry) = self.page.next() {
                return Ok(Some(Version::of(&entry)?));
            }
            if self.begun && self.cursor.is_none() {
                return Ok(None);
            }
            let (bucket, key) = (&self.target.bucket, self.target.key()?);
            let cursor = self.cursor.take();
            let page = self
                .client
                .document_history(bucket, &key, false, cursor.as_deref())
                .await?;
            self.begun = true;
            self.cursor = page.cursor;
            self.page = page.versions.into_iter();
        }
    }

    /// The newest version that is at this point, or before it.
    async fn find(&mut self, point: Point) -> Result<Version, Failure> {
        while let Some(version) = self.next().await? {
            let found = match point {
                Point::Version(id) => version.id == id,
                Point::Time(time) => version.modified <= time.to_string(),
            };
            if found {
                return Ok(version);
            }
        }
        let what = match point {
            Point::Version(id) => format!("version {id}"),
            Point::Time(time) => format!("version of {time} or before"),
        };
        let name = self.target.to_string();
        Err(Failure::Usage(format!("{} has no {what}", shown(&name))))
    }
}

pub(crate) async fn log(client: &Client, output: &Output, args: &LogArgs) -> Result<(), Failure> {
    let mut past = Past::of(client, &args.target);
    let mut above = past.next().await?;
    let mut left = args.limit.unwrap_or(usize::MAX);
    while let Some(version) = above.filter(|_| left > 0) {
        left -= 1;
        let below = past.next().await?;
        let before = below
            .as_ref()
            .and_then(|below| below.members.clone())
            .unwrap_or_default();
        let changes = version
            .members
            .as_ref()
            .map(|members| differences(&before, members));
        print(
            output,
            &version,
            changes.as_deref(),
            version.skips_to(below.as_ref()),
        )?;
        above = below;
    }
    Ok(())
}

fn print(
    output: &Output,
    version: &Version,
    changes: Option<&[Difference]>,
    skips: bool,
) -> std::io::Result<()> {
    let human = || {
        let (id, modified) = (version.id, &version.modified);
        let Some(changes) = changes else {
            return format!("{id}  {modified}  (deleted)");
        };
        let head = format!("{id}  {modified}  version {} by {}", version.number, version.by());
        let lines = changes.iter().map(|change| format!("\n    {}", words(change)));
        let gap = skips.then(|| "\n    (versions below this one are not kept)".to_owned());
        [head].into_iter().chain(lines).chain(gap).collect()
    };
    output.line(human, || {
        let mut said = version.json();
        if skips {
            said.insert("gap".to_owned(), true.into());
        }
        said.extend(
            changes
                .as_ref()
                .map(|changes| ("changes".to_owned(), list(changes))),
        );
        said.into()
    })
}

/// A change on one line.
fn words(change: &Difference) -> String {
    let place = shown(&change.pointer);
    let spelled = |value: &Value| shown(&value.to_string()).into_owned();
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("~ {place}: {} -> {}", spelled(before), spelled(after)),
        (None, Some(after)) => format!("+ {place}: {}", spelled(after)),
        (Some(before), None) => format!("- {place}: {}", spelled(before)),
        (None, None) => place.into_owned(),
    }
}

fn list(changes: &[Difference]) -> Value {
    changes.iter().map(entry).collect()
}

fn entry(change: &Difference) -> Value {
    let mut said = Object::new();
    said.insert("pointer".to_owned(), change.pointer.as_str().into());
    said.extend(change.before.clone().map(|value| ("before".to_owned(), value)));
    said.extend(change.after.clone().map(|value| ("after".to_owned(), value)));
    said.into()
}

pub(crate) async fn diff(client: &Client, output: &Output, args: &DiffArgs) -> Result<(), Failure> {
    let mut past = Past::of(client, &args.target);
    let after = if let Some(point) = args.to {
        past.find(point).await?
    } else {
        let newest = past.next().await?;
        newest.ok_or_else(|| Failure::Usage("there is no version".to_owned()))?
    };
    // From the start: it may be newer than the other one.
    let before = match args.from {
        Some(point) => Some(Past::of(client, &args.target).find(point).await?),
        None => past.next().await?,
    };
    let members = |version: Option<&Version>| version.and_then(|version| version.members.clone());
    let before = members(before.as_ref()).unwrap_or_default();
    for change in differences(&before, &members(Some(&after)).unwrap_or_default()) {
        output.line(|| words(&change), || entry(&change))?;
    }
    Ok(())
}

pub(crate) async fn blame(client: &Client, output: &Output, args: &BlameArgs) -> Result<(), Failure> {
    let mut past = Past::of(client, &args.target);
    let newest = match args.at {
        Some(point) => Some(past.find(point).await?),
        None => past.next().await?,
    };
    let Some((newest, members)) = newest.and_then(|newest| Some((newest.clone(), newest.members?))) else {
        return Err(Failure::Usage("the document is deleted".to_owned()));
    };
    let mut blame = Blame::of(&members, &newest);
    let mut oldest = true;
    while let Some(mut version) = past.next().await? {
        let members = version.members.take();
        // What matters of it from here on is who wrote it, and when.
        if !blame.below(members, &version) {
            oldest = false;
            break;
        }
    }
    for since in blame.members() {
        let version = &since.version;
        // Versions below the first that is kept may have had it already.
        let first = version.number.as_u64() == Some(1);
        let known = since.settled || first || !oldest;
        let human = || {
            let (mark, by) = (if known { ' ' } else { '^' }, version.by());
            let (place, value) = (shown(&since.pointer), since.value.to_string());
            format!(
                "{}{mark} {}  {by}  {place} = {}",
                version.id,
                version.modified,
                shown(&value)
            )
        };
        output.line(human, || {
            let mut said = version.json();
            said.remove("deleted");
            said.insert("pointer".to_owned(), since.pointer.as_str().into());
            said.insert("value".to_owned(), since.value.clone());
            said.insert("or_before".to_owned(), (!known).into());
            said.into()
        })?;
    }
    Ok(())
}
