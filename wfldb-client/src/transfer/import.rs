//! A file of documents into a bucket: in batches, several on their way at once.

use std::collections::{HashSet, VecDeque};
use std::io::BufRead;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wfldb_core::auth::Method;
use wfldb_core::doc::{Object, canonical};
use wfldb_core::encoding::hex;
use wfldb_core::limits::BATCH_ENTRIES_MAX;
use wfldb_core::name::{BucketName, ObjectKey};

use super::{DocumentReader, ENVELOPE, Format, Found};
use crate::call::{Call, bucket_path};
use crate::object::GetOptions;
use crate::outgoing::Source;
use crate::retry::Safety;
use crate::{Client, Error};

/// Bytes of documents after which a batch is sent; one more document fits what a batch may have.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Batches that are read and wait for their turn.
const BATCHES_AHEAD: usize = 2;
/// Looks at what is there already, at once.
const LOOKS: usize = 16;

/// How documents are taken out of a file.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The member whose value is the key; `_id` where none is named.
    pub id: Option<String>,
    /// A document without that member gets a key made of what it says, so the same document the same key.
    pub make_ids: bool,
    /// Documents that are there already are left as they are.
    pub only_new: bool,
    /// A document that cannot be stored is told, and the others are stored all the same.
    pub keep_going: bool,
    /// Batches on their way at once.
    pub in_flight: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            id: None,
            make_ids: false,
            only_new: false,
            keep_going: false,
            in_flight: 4,
        }
    }
}

/// What became of the documents of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Stored.
    pub stored: u64,
    /// There already, with [`ImportOptions::only_new`].
    pub skipped: u64,
    /// Not stored; each was told.
    pub failed: u64,
    /// Bytes of the file that were read so far.
    pub bytes: u64,
}

/// Why an import ended before the end of its file. What was stored by then stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A document, or the file: the text names the place.
    #[error("{0}")]
    Document(String),
    /// A document that the server refused.
    #[error("{place}: {error}")]
    Refused {
        /// Where it stands in the file.
        place: String,
        /// The refusal.
        error: Error,
    },
    /// The server, or the way to it.
    #[error(transparent)]
    Client(#[from] Error),
}

/// A document that is to be stored.
#[derive(Debug, Clone)]
struct Entry {
    place: String,
    key: ObjectKey,
    /// Its canonical JSON.
    text: Bytes,
}

#[derive(Debug, Default)]
struct Group {
    entries: Vec<Entry>,
    keys: HashSet<ObjectKey>,
    bytes: usize,
    /// How far the file was read with it.
    read: u64,
}

/// What the reading thread hands over.
enum Step {
    Group(Group),
    /// A document that is none; what follows can be read.
    Bad(String),
    /// The file cannot be read on.
    Broken(String),
}

/// What became of a group.
#[derive(Debug, Default)]
struct Done {
    stored: u64,
    skipped: u64,
    refused: Vec<(String, Error)>,
}

/// A group on its way, and the keys in it.
type Sent = (JoinHandle<Result<Done, Error>>, HashSet<ObjectKey>);

impl Client {
    /// Stores the documents that `input` brings. `told` is called with what is refused, where it goes on all the same, and
    /// after each batch with how far it is. A file can be imported again: documents are stored under the same keys, as new
    /// versions, or with [`ImportOptions::only_new`] not at all.
    ///
    /// # Errors
    /// [`ImportError`]; the documents before it may be stored or not, as `told` last said.
    pub async fn import(
        &self,
        bucket: &BucketName,
        input: impl BufRead + Send + 'static,
        format: Format,
        options: &ImportOptions,
        told: &mut (dyn FnMut(&Imported, Option<&str>) + Send),
    ) -> Result<Imported, ImportError> {
        let (steps, mut to_do) = mpsc::channel(BATCHES_AHEAD);
        let reading = options.clone();
        // It ends with the channel, so nobody waits for it.
        drop(tokio::task::spawn_blocking(move || {
            read(input, format, &reading, &steps);
        }));
        let mut sum = Imported::default();
        let mut sent: VecDeque<Sent> = VecDeque::new();
        let mut end = Ok(());
        while let Some(step) = to_do.recv().await {
            match step {
                Step::Group(group) => {
                    let again = |(_, keys): &Sent| !keys.is_disjoint(&group.keys);
                    // ORDER: a key that occurs again is stored again only when the one before is.
                    while sent.len() >= options.in_flight.max(1) || sent.iter().any(again) {
                        end = settle(&mut sent, &mut sum, options, told).await;
                        if end.is_err() {
                            break;
                        }
                    }
                    if end.is_ok() {
                        sum.bytes = group.read;
                        sent.push_back(self.start(bucket, group, options));
                    }
                }
                Step::Bad(why) if options.keep_going => {
                    sum.failed += 1;
                    told(&sum, Some(&why));
                }
                Step::Bad(why) | Step::Broken(why) => end = Err(ImportError::Document(why)),
            }
            if end.is_err() {
                break;
            }
        }
        // What is on its way is waited for whatever happened, so that the sums are true.
        while !sent.is_empty() {
            let settled = settle(&mut sent, &mut sum, options, told).await;
            end = end.and(settled);
        }
        end.map(|()| sum)
    }

    fn start(&self, bucket: &BucketName, group: Group, options: &ImportOptions) -> Sent {
        let (client, bucket) = (self.clone(), bucket.clone());
        let (only_new, keep_going) = (options.only_new, options.keep_going);
        let store = async move {
            client
                .store_group(&bucket, group.entries, only_new, keep_going)
                .await
        };
        (tokio::spawn(store), group.keys)
    }

    /// Stores the documents of a group, without those that are refused by themselves.
    async fn store_group(
        &self,
        bucket: &BucketName,
        mut entries: Vec<Entry>,
        only_new: bool,
        keep_going: bool,
    ) -> Result<Done, Error> {
        let mut done = Done::default();
        while !entries.is_empty() {
            let error = match self.put_documents(bucket, &entries, only_new).await {
                Ok(()) => {
                    done.stored = entries.len() as u64;
                    break;
                }
                Err(error) => error,
            };
            if only_new && error.is_precondition() {
                let before = entries.len();
                entries = self.absent(bucket, entries).await?;
                done.skipped += (before - entries.len()) as u64;
                continue;
            }
            match error.refused_entry().filter(|place| *place < entries.len()) {
                Some(place) => {
                    let refused = entries.remove(place);
                    done.refused.push((refused.place, error));
                    if !keep_going {
                        break;
                    }
                }
                None => return Err(error),
            }
        }
        Ok(done)
    }

    /// One commit of documents.
    async fn put_documents(
        &self,
        bucket: &BucketName,
        entries: &[Entry],
        only_new: bool,
    ) -> Result<(), Error> {
        let mut body = b"{\"ops\":[".to_vec();
        for (place, entry) in entries.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let condition = if only_new { ",\"if_none_match\":\"*\"" } else { "" };
            let key = Value::from(entry.key.as_str());
            body.extend_from_slice(
                format!("{comma}{{\"op\":\"put\",\"key\":{key}{condition},\"body\":").as_bytes(),
            );
            body.extend_from_slice(&entry.text);
            body.push(b'}');
        }
        body.extend_from_slice(b"]}");
        let mut call = Call::new(Method::Post, format!("{}/batch", bucket_path(bucket)));
        for name in ["content-type", "accept"] {
            call.headers
                .push((name.to_owned(), "application/json".to_owned()));
        }
        call.source = Source::of_bytes(body.into());
        // The same documents under the same keys: stored twice they say the same.
        call.safety = Safety::Idempotent;
        self.caller.send(&call).await?.bytes().await.map(drop)
    }

    /// Those that are not there.
    async fn absent(&self, bucket: &BucketName, entries: Vec<Entry>) -> Result<Vec<Entry>, Error> {
        let mut absent = Vec::new();
        for some in entries.chunks(LOOKS) {
            let looks: Vec<_> = some
                .iter()
                .map(|entry| {
                    let (client, bucket, key) = (self.clone(), bucket.clone(), entry.key.clone());
                    tokio::spawn(async move { client.head(&bucket, &key, GetOptions::default()).await })
                })
                .collect();
            for (look, entry) in looks.into_iter().zip(some) {
                match look.await.map_err(ended)? {
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => absent.push(entry.clone()),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(absent)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape of every error's conversion"
)]
fn ended(error: tokio::task::JoinError) -> Error {
    Error::Local(format!("a task ended early: {error}"))
}

/// Waits for the oldest group.
async fn settle(
    sent: &mut VecDeque<Sent>,
    sum: &mut Imported,
    options: &ImportOptions,
    told: &mut (dyn FnMut(&Imported, Option<&str>) + Send),
) -> Result<(), ImportError> {
    let Some((oldest, _)) = sent.pop_front() else {
        return Ok(());
    };
    let done = oldest
        .await
        .map_err(|error| ImportError::Client(ended(error)))??;
    sum.stored += done.stored;
    sum.skipped += done.skipped;
    for (place, error) in done.refused {
        sum.failed += 1;
        if !options.keep_going {
            return Err(ImportError::Refused { place, error });
        }
        told(sum, Some(&format!("{place}: {error}")));
    }
    told(sum, None);
    Ok(())
}

/// Reads the file to its end, or until nobody wants it any more.
fn read(input: impl BufRead, format: Format, options: &ImportOptions, steps: &mpsc::Sender<Step>) {
    let mut reader = DocumentReader::new(input, format);
    let mut group = Group::default();
    while let Some(next) = reader.next() {
        let entry = match next {
            Ok(found) => entry(found, format, options),
            Err(error) if error.goes_on => Err(error.to_string()),
            Err(error) => {
                // What was read before it is stored, or told to be wrong, before.
                if hand_over(&mut group, reader.bytes(), steps) {
                    let _ = steps.blocking_send(Step::Broken(error.to_string()));
                }
                return;
            }
        };
        let entry = match entry {
            Ok(entry) => entry,
            Err(why) => {
                if !hand_over(&mut group, reader.bytes(), steps)
                    || steps.blocking_send(Step::Bad(why)).is_err()
                {
                    return;
                }
                continue;
            }
        };
        let full = group.entries.len() == BATCH_ENTRIES_MAX || group.bytes >= BATCH_BYTES;
        if (full || group.keys.contains(&entry.key)) && !hand_over(&mut group, reader.bytes(), steps) {
            return;
        }
        group.bytes += entry.text.len() + entry.key.as_str().len();
        group.keys.insert(entry.key.clone());
        group.entries.push(entry);
    }
    hand_over(&mut group, reader.bytes(), steps);
}

/// `false`: nobody wants it any more.
fn hand_over(group: &mut Group, read: u64, steps: &mpsc::Sender<Step>) -> bool {
    if group.entries.is_empty() {
        return true;
    }
    group.read = read;
    steps.blocking_send(Step::Group(std::mem::take(group))).is_ok()
}

/// The document as it is stored, and under which key.
fn entry(found: Found, format: Format, options: &ImportOptions) -> Result<Entry, String> {
    let Found { place, mut document } = found;
    let place = match format {
        Format::Bson => format!("document {place}"),
        Format::JsonLines | Format::Json => format!("line {place}"),
    };
    let wrong = |why: String| format!("{place}: {why}");
    leave_out_envelope(&mut document);
    let name = options.id.as_deref().unwrap_or("_id");
    let id = if name == "_id" {
        document.remove("_id")
    } else {
        document.get(name).cloned()
    };
    let key = match id {
        Some(id) => {
            key_of(&id).ok_or_else(|| wrong(format!("`{name}` is no text, whole number or object id")))?
        }
        None if options.make_ids => made_of(&document),
        None => return Err(wrong(format!("it has no `{name}`"))),
    };
    let key = ObjectKey::parse(&key).map_err(|error| wrong(format!("`{name}`: {error}")))?;
    key.check_writable()
        .map_err(|error| wrong(format!("`{name}`: {error}")))?;
    // The server makes it of the key; another one would be lost.
    if let Some(own) = document.remove("_id")
        && key_of(&own).as_deref() != Some(key.as_str())
    {
        return Err(wrong(
            "its `_id` is another than its key, and would be lost".to_owned(),
        ));
    }
    Ok(Entry {
        text: canonical(&document).into(),
        place,
        key,
    })
}

/// What an export of ours has beside the document. Members of these names that are not ours are left to the server to refuse.
fn leave_out_envelope(document: &mut Object) {
    let hash = document.get("_hash").and_then(Value::as_str).unwrap_or_default();
    if hash.starts_with("sha256:") && document.get("_v").is_some_and(Value::is_u64) {
        for name in ENVELOPE {
            document.remove(name);
        }
    }
}

fn key_of(id: &Value) -> Option<String> {
    match id {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number.as_i64().map(|number| number.to_string()),
        Value::Object(members) if members.len() == 1 => members.get("$oid")?.as_str().map(str::to_owned),
        _ => None,
    }
}

fn made_of(document: &Object) -> String {
    let hash = blake3::hash(&canonical(document));
    let (half, _) = hash.as_bytes().split_at(16);
    hex::encode(half)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry_of(document: Value, options: &ImportOptions) -> Result<(String, String), String> {
        let Value::Object(document) = document else {
            panic!("not an object")
        };
        let found = Found { place: 3, document };
        let entry = entry(found, Format::JsonLines, options)?;
        Ok((
            entry.key.to_string(),
            String::from_utf8(entry.text.to_vec()).unwrap(),
        ))
    }

    #[test]
    fn the_key_is_the_named_member_and_stays_out_of_the_document_only_where_it_is_the_id() {
        let options = ImportOptions::default();
        let stored = |key: &str, text: &str| Ok((key.to_owned(), text.to_owned()));
        assert_eq!(
            entry_of(json!({"_id": "a", "b": 1}), &options),
            stored("a", r#"{"b":1}"#)
        );
        assert_eq!(
            entry_of(json!({"_id": 7, "b": 1}), &options),
            stored("7", r#"{"b":1}"#)
        );
        let oid = json!({"_id": {"$oid": "00112233445566778899aabb"}});
        assert_eq!(entry_of(oid, &options), stored("00112233445566778899aabb", "{}"));
        let by_name = ImportOptions {
            id: Some("sku".to_owned()),
            ..ImportOptions::default()
        };
        assert_eq!(
            entry_of(json!({"sku": "x"}), &by_name),
            stored("x", r#"{"sku":"x"}"#)
        );
        for (document, options) in [
            (json!({"b": 1}), &options),
            (json!({"_id": 1.5}), &options),
            (json!({"_id": ""}), &options),
            (json!({"_id": "_find"}), &options),
            (json!({"_id": "other", "sku": "x"}), &by_name),
        ] {
            let refused = entry_of(document.clone(), options).unwrap_err();
            assert!(refused.starts_with("line 3: "), "{document} {refused}");
        }
    }

    /// A defect it catches: an export that cannot be imported; a member of a stranger that is silently dropped.
    #[test]
    fn an_export_of_ours_comes_back_without_its_envelope() {
        let ours = json!({"_id": "a", "_v": 3, "_ts": "t", "_prev": null, "_by": "k", "_hash": "sha256:00", "_sig": "s", "b": 1});
        let options = ImportOptions::default();
        assert_eq!(entry_of(ours, &options).unwrap().1, r#"{"b":1}"#);
        let theirs = json!({"_id": "a", "_v": 3, "b": 1});
        assert_eq!(entry_of(theirs, &options).unwrap().1, r#"{"_v":3,"b":1}"#);
    }

    #[test]
    fn a_made_key_is_the_same_for_the_same_document() {
        let options = ImportOptions {
            make_ids: true,
            ..ImportOptions::default()
        };
        let one = entry_of(json!({"a": 1, "b": 2}), &options).unwrap();
        let same = entry_of(json!({"b": 2, "a": 1}), &options).unwrap();
        let other = entry_of(json!({"a": 1, "b": 3}), &options).unwrap();
        assert!(one == same && one.0 != other.0 && one.0.len() == 32);
    }

    /// Defects it catches: a group with a key twice, which the server refuses; documents behind a bad one that are lost.
    #[test]
    fn groups_have_each_key_once_and_bad_documents_stand_in_their_place() {
        let (steps, mut to_do) = mpsc::channel(100);
        let text = "{\"_id\":\"a\"}\n{\"_id\":\"b\"}\n{\"_id\":\"a\",\"n\":2}\nbad\n{\"_id\":\"c\"}\n";
        read(
            text.as_bytes(),
            Format::JsonLines,
            &ImportOptions::default(),
            &steps,
        );
        drop(steps);
        let mut seen = Vec::new();
        while let Some(step) = to_do.blocking_recv() {
            seen.push(match step {
                Step::Group(group) => group.entries.iter().map(|entry| entry.key.to_string()).collect(),
                Step::Bad(why) => why.split(':').next().unwrap().to_owned(),
                Step::Broken(why) => panic!("{why}"),
            });
        }
        assert_eq!(seen, ["ab", "a", "line 4", "c"]);
    }
}
