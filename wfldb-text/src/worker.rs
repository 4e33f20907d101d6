//! The one thread that keeps all indexes: it follows each bucket's changes, reads the newest versions of the keys
//! that changed, and writes them in steps.
//!
//! A step is repeated harmlessly: it replaces whatever the index has of a key by what the key is now. So a crash
//! between two steps costs nothing but a step, and documents that are newer than the cursor do no harm.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::doc::Object;
use wfldb_core::id::{BucketId, Seq};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_engine::{ChangesQuery, EngineError, Head, Since};

use crate::error::TextViewError;
use crate::index::{BucketIndex, Cursor, Entry, guarded, place, remove};
use crate::views::{Shared, TextState, View, is_end};

/// Between the beginnings of two rounds of steps, so that many small changes cost few commits.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(200);
/// How often the configurations of buckets are looked at, when there were changes.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// A look without being woken.
const IDLE: Duration = Duration::from_mins(1);
/// An index that had nothing to write for so long lets go of its writer.
const REST_AFTER: Duration = Duration::from_secs(10);
/// Bytes of documents that one commit of an index holds, about.
const STEP_BYTES: usize = 8 * 1024 * 1024;
/// Keys whose newest versions are read at once: at most this times the largest document in memory.
const KEYS_AT_ONCE: usize = 32;
/// After the first failure in a row; each further one doubles it, up to a minute.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// What the thread has of a bucket.
struct Kept {
    view: Arc<View>,
    index: Option<BucketIndex>,
    failures: u32,
    not_before: Option<Instant>,
    written: Instant,
}

/// What a step came to.
#[derive(PartialEq, Eq)]
enum Step {
    /// There is nothing to do.
    Done,
    /// There is more to do at once.
    More,
}

/// The thread.
pub(crate) fn run(shared: &Shared) {
    let mut kept: HashMap<BucketId, Kept> = HashMap::new();
    let mut looked: Option<Instant> = None;
    while !shared.bell.has_ended() {
        let began = Instant::now();
        if shared.look.swap(false, Ordering::SeqCst) || looked.is_none_or(|at| at.elapsed() >= BETWEEN_LOOKS)
        {
            looked = Some(began);
            if let Err(error) = look(shared, &mut kept) {
                tracing::warn!(%error, "the buckets with a full-text index could not be listed");
            }
        }
        // A view must not take the room that the store keeps free, and leaves a damaged store alone.
        let room = shared.engine.health().writable.is_ok();
        #[cfg(test)]
        let room = room && !shared.held.load(Ordering::SeqCst);
        let mut more = false;
        for kept in kept.values_mut().filter(|_| room) {
            if shared.bell.has_ended() {
                return;
            }
            more |= round(shared, kept);
        }
        let wait = if more {
            continue;
        } else {
            rest(&mut kept)
        };
        // What wakes the thread meanwhile is seen in the next round, which begins no sooner than it may.
        std::thread::park_timeout(wait);
        let too_soon = BETWEEN_ROUNDS.saturating_sub(began.elapsed());
        if !too_soon.is_zero() && !shared.bell.has_ended() {
            std::thread::sleep(too_soon);
        }
    }
}

/// Lets go of writers that have nothing to do; answers when to look again.
fn rest(kept: &mut HashMap<BucketId, Kept>) -> Duration {
    let mut wait = IDLE;
    for kept in kept.values_mut() {
        if let Some(not_before) = kept.not_before {
            wait = wait.min(not_before.saturating_duration_since(Instant::now()));
        }
        let Some(index) = kept.index.as_mut().filter(|index| index.is_writing()) else {
            continue;
        };
        let left = REST_AFTER.saturating_sub(kept.written.elapsed());
        if left.is_zero() {
            index.rest();
        } else {
            wait = wait.min(left);
        }
    }
    wait.max(Duration::from_millis(1))
}

/// Brings what is kept in line with what buckets ask for, and removes what no bucket asks for.
fn look(shared: &Shared, kept: &mut HashMap<BucketId, Kept>) -> Result<(), TextViewError> {
    let proof = Authorized::system("text", Op::List, Target::Store);
    let buckets = shared.engine.buckets(&proof)?;
    let mut wanted = HashMap::new();
    for bucket in buckets {
        if let Some(config) = bucket.config.text {
            wanted.insert(bucket.id, (bucket.name, config));
        }
    }
    let gone = |kept: &Kept| {
        let wanted = wanted.get(&kept.view.bucket);
        wanted.is_none_or(|(_, config)| *config != kept.view.config)
    };
    for bucket in kept
        .values()
        .filter(|kept| gone(kept))
        .map(|kept| kept.view.bucket)
        .collect::<Vec<_>>()
    {
        shared.forget(bucket);
        kept.remove(&bucket);
    }
    for entry in std::fs::read_dir(&shared.dir).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if !wanted
            .keys()
            .any(|bucket| name == Some(bucket.to_string().as_str()))
        {
            tracing::info!(path = %path.display(), "a full-text index that no bucket asks for is removed");
            if let Err(error) = remove(&path) {
                tracing::warn!(%error, "a full-text index cannot be removed");
            }
        }
    }
    for (bucket, (name, config)) in wanted {
        kept.entry(bucket).or_insert_with(|| {
            let view = Arc::new(View::new(bucket, name, config));
            shared.put(Arc::clone(&view));
            Kept {
                view,
                index: None,
                failures: 0,
                not_before: None,
                written: Instant::now(),
            }
        });
    }
    Ok(())
}

/// One step of one bucket; `true`: there is more at once.
fn round(shared: &Shared, kept: &mut Kept) -> bool {
    if kept.not_before.is_some_and(|at| Instant::now() < at) {
        return false;
    }
    kept.not_before = None;
    match guarded(|| step(shared, kept)) {
        Ok(step) => {
            kept.failures = 0;
            step == Step::More
        }
        Err(error) => {
            after_failure(shared, kept, &error);
            false
        }
    }
}

fn after_failure(shared: &Shared, kept: &mut Kept, error: &TextViewError) {
    kept.index = None;
    kept.failures += 1;
    let factor = 1 << kept.failures.min(7);
    kept.not_before = Some(Instant::now() + AFTER_FAILURE * factor / 2);
    match error {
        TextViewError::Engine(EngineError::NoSuchBucket) => {
            // Deleted a moment ago.
            shared.look.store(true, Ordering::SeqCst);
        }
        error if is_end(error) => {}
        error => {
            let bucket = kept.view.bucket;
            tracing::warn!(%bucket, %error, "a full-text index failed; it is tried again");
            kept.view.failed();
            // Once it is taken up from the disk as it is, then it is made anew.
            if kept.failures > 1 && matches!(error, TextViewError::Index(_)) {
                kept.view.anew.store(true, Ordering::SeqCst);
            }
        }
    }
}

struct Following<'a> {
    shared: &'a Shared,
    bucket: BucketId,
    name: &'a BucketName,
}

fn step(shared: &Shared, kept: &mut Kept) -> Result<Step, TextViewError> {
    let view = Arc::clone(&kept.view);
    let following = Following {
        shared,
        bucket: view.bucket,
        name: &view.name,
    };
    let dir = place(&shared.dir, view.bucket);
    if view.anew.swap(false, Ordering::SeqCst) {
        kept.index = None;
        remove(&dir)?;
    }
    let index = match &mut kept.index {
        Some(index) => index,
        none => {
            let newest = following.newest()?;
            let index = none.insert(BucketIndex::open(&dir, view.bucket, &view.config, newest)?);
            publish(&view, index, false);
            kept.written = Instant::now();
            index
        }
    };
    let was_made = index.cursor.making.is_some();
    let step = match index.cursor.making.clone() {
        Some(after) => following.make(index, &after)?,
        None => match following.follow(index) {
            Err(TextViewError::Engine(EngineError::TooOld | EngineError::SinceUnknown)) => {
                // The changes behind the cursor are gone, or the bucket's history is another one.
                view.anew.store(true, Ordering::SeqCst);
                return Ok(Step::More);
            }
            followed => followed?,
        },
    };
    if let Some(step) = step {
        publish(&view, index, was_made && index.cursor.making.is_none());
        kept.written = Instant::now();
        return Ok(step);
    }
    Ok(Step::Done)
}

/// Tells callers of a step; `made`: it was the last of those that made the index.
fn publish(view: &View, index: &BucketIndex, made: bool) {
    let whole = index.cursor.making.is_none();
    let documents = index.searchable.searcher().num_docs();
    view.publish(whole.then(|| index.searchable.clone()), |progress| {
        if whole {
            progress.state = TextState::Ready;
            progress.seq = index.cursor.seq;
        } else {
            progress.state = TextState::Making;
        }
        progress.made += u64::from(made);
        progress.documents = documents;
    });
}

impl Following<'_> {
    fn proof(&self, op: Op) -> Authorized {
        Authorized::system("text", op, Target::Listing(self.name.clone()))
    }

    /// The newest `seq` of the bucket.
    fn newest(&self) -> Result<u64, TextViewError> {
        let query = ChangesQuery {
            since: Since::Now,
            bucket: Some(self.bucket),
            ..ChangesQuery::default()
        };
        let page = self.shared.engine.changes(&self.proof(Op::Watch), &query)?;
        Ok(page.last.get())
    }

    /// Goes on making an index from the documents.
    fn make(&self, index: &mut BucketIndex, after: &str) -> Result<Option<Step>, TextViewError> {
        let after = match after {
            "" => None,
            after => {
                Some(ObjectKey::parse(after).map_err(|_| TextViewError::Index("a bad cursor".to_owned()))?)
            }
        };
        let proof = self.proof(Op::Query);
        let page = self
            .shared
            .engine
            .heads_behind(&proof, after.as_ref(), STEP_BYTES)?;
        let entries = page.heads.into_iter().map(|(key, head)| entry(&key, Some(head)));
        let cursor = Cursor {
            making: page.next.as_ref().map(|next| next.as_str().to_owned()),
            ..index.cursor.clone()
        };
        index.write(entries.collect(), cursor)?;
        Ok(Some(Step::More))
    }

    /// Follows the changes behind the cursor; `None`: there are none.
    fn follow(&self, index: &mut BucketIndex) -> Result<Option<Step>, TextViewError> {
        let query = ChangesQuery {
            since: Since::Seq(Seq::new(index.cursor.seq)),
            bucket: Some(self.bucket),
            ..ChangesQuery::default()
        };
        let page = self.shared.engine.changes(&self.proof(Op::Watch), &query)?;
        if page.last.get() == index.cursor.seq {
            return Ok(None);
        }
        let changed = page.changes.into_iter().flat_map(|change| change.keys);
        let keys: BTreeSet<ObjectKey> = changed.map(|change| change.key).collect();
        let keys: Vec<ObjectKey> = keys.into_iter().collect();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for keys in keys.chunks(KEYS_AT_ONCE) {
            for (key, head) in keys.iter().zip(self.heads(keys)?) {
                bytes += head
                    .as_ref()
                    .and_then(|head| head.body.as_ref())
                    .map_or(0, bytes::Bytes::len);
                entries.push(entry(key, head));
            }
            if bytes >= STEP_BYTES {
                // The cursor stays: what is written here is written again if the rest is not.
                index.write(std::mem::take(&mut entries), index.cursor.clone())?;
                bytes = 0;
            }
        }
        let cursor = Cursor {
            seq: page.last.get(),
            ..index.cursor.clone()
        };
        index.write(entries, cursor)?;
        Ok(Some(if page.more { Step::More } else { Step::Done }))
    }

    /// The newest versions of keys. One that is damaged is left out, so that it does not hold up all others.
    fn heads(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Head>>, TextViewError> {
        let proof = self.proof(Op::Query);
        match self.shared.engine.heads(&proof, keys, true) {
            Err(EngineError::Corrupt(_)) if keys.len() > 1 => {
                let each = keys.chunks(1).map(|key| self.heads(key));
                Ok(each
                    .collect::<Result<Vec<_>, _>>()?
                    .into_iter()
                    .flatten()
                    .collect())
            }
            Err(EngineError::Corrupt(what)) => {
                tracing::warn!(bucket = %self.bucket, what, "a damaged document is left out of the full-text index");
                Ok(vec![None])
            }
            heads => Ok(heads?),
        }
    }
}

/// What an index says of a key. What is no JSON object has no words.
fn entry(key: &ObjectKey, head: Option<Head>) -> Entry {
    let document = head.and_then(|head| {
        let object: Object = serde_json::from_slice(&head.body?).ok()?;
        Some((head.version, object))
    });
    Entry {
        key: key.as_str().to_owned(),
        document,
    }
}
