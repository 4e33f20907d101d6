//! A store with a mirror, worked by hand, and what its directory should hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wfldb_core::audit::{GrowingTree, LogName, NoteSigner, Resource, SignedCheckpoint, leaf_hash};
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::encoding::hex;
use wfldb_core::object::{ObjectHeaders, Preconditions};

use crate::audit::{StoredCheckpoint, entries};
use crate::commit::plan::{AuditRows, Mutation};
use crate::mirror::error::Failure;
use crate::mirror::point::{Point, Points};
use crate::mirror::rounds::{Rounds, Step};
use crate::mirror::state::State;
use crate::mirror::{MirrorBatch, MirrorContent, MirrorFile, MirrorHistory};
use crate::tests::{object, options};
use crate::{Engine, EngineError, EngineOptions, MemoryStorage, PutOutcome};

pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) struct Case {
    dir: tempfile::TempDir,
    pub(super) engine: Engine,
    pub(super) storage: MemoryStorage,
    /// Where the next step stops, and after how many times that it comes there.
    pub(super) stop: Arc<Mutex<Option<(Point, u32)>>>,
    pub(super) shard_above: u64,
}

impl Case {
    pub(super) fn new() -> Self {
        Self::with(options())
    }

    /// With the machine's clock, as files have it.
    pub(super) fn in_real_time() -> Self {
        Self::with(EngineOptions::default().without_floor())
    }

    fn with(options: EngineOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        let storage = MemoryStorage::new();
        let engine =
            Engine::with_storage(Arc::new(storage.clone()), &dir.path().join("data"), options).unwrap();
        Self {
            dir,
            engine,
            storage,
            stop: Arc::default(),
            shard_above: u64::MAX,
        }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(super) fn place(&self) -> PathBuf {
        self.dir.path().join("mirror")
    }

    pub(super) fn cursor(&self) -> PathBuf {
        self.dir.path().join("data/views/mirror/cursor")
    }

    pub(super) fn points(&self) -> Points {
        let stop = Arc::clone(&self.stop);
        let at = move |point: Point| {
            let mut stop = stop.lock().unwrap();
            match &mut *stop {
                Some((wanted, 0)) if *wanted == point => {
                    *stop = None;
                    Err(std::io::Error::other("stopped"))
                }
                Some((wanted, left)) if *wanted == point => {
                    *left -= 1;
                    Ok(())
                }
                _ => Ok(()),
            }
        };
        Points {
            at: Some(Arc::new(at)),
        }
    }

    fn open(&self, history: Option<Box<dyn MirrorHistory>>) -> Result<Rounds, Failure> {
        let ended = Arc::<AtomicBool>::default();
        let history = history.map(|history| (history, MirrorBatch::default()));
        let rounds = Rounds::open(&self.engine.inner, &self.place(), history, ended, self.points());
        let mut rounds = rounds.map_err(|error| Failure::Io(std::io::Error::other(error)))?;
        rounds.shard_above = self.shard_above;
        Ok(rounds)
    }

    /// The mirror as a new process takes it up.
    pub(super) fn rounds(&self) -> Result<Rounds, Failure> {
        loop {
            let mut rounds = self.open(None)?;
            match rounds.begin() {
                Ok(()) => return Ok(rounds),
                Err(Failure::Manifest(place)) => rounds.damaged_at(&place)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// A new mirror, with a history.
    pub(super) fn rounds_with(&self, history: Box<dyn MirrorHistory>) -> Rounds {
        let mut rounds = self.open(Some(history)).unwrap();
        rounds.begin().unwrap();
        rounds
    }

    /// Takes it up, and has it come to its end.
    pub(super) fn mirrored(&self) -> Files {
        settle(&mut self.rounds().unwrap()).unwrap();
        found(&self.place())
    }

    pub(super) fn put_document(
        &self,
        bucket: &str,
        key: &str,
        document: &Value,
    ) -> Result<PutOutcome, EngineError> {
        let proof = object(bucket, key, Op::Put);
        let body = document.to_string();
        self.engine.settled(|engine| {
            engine.put_document(
                &proof,
                body.as_bytes(),
                ObjectHeaders::default(),
                Preconditions::default(),
            )
        })
    }

    /// What the directory should hold: from the store, but for which buckets are in shards, which it says itself.
    pub(super) fn expected(&self, found: &Files) -> Files {
        let proof = Authorized::local("test", Op::Admin, Target::Store);
        let view = self.engine.mirror_view(&proof).unwrap();
        let mut all = Files::new();
        for bucket in view.buckets() {
            let metadata = format!("{}/.metadata.json", wfldb_core::mirror::bucket_dir(bucket));
            let metadata = found.get(&metadata).map_or(b"null".as_slice(), Vec::as_slice);
            let metadata: Value = serde_json::from_slice(metadata).unwrap();
            let sharded = metadata["shards"] == 256;
            let mut files = Files::new();
            let place = view
                .files(bucket, sharded, |file| {
                    let path = file.path.clone();
                    assert!(
                        files.insert(path.clone(), bytes(file)?).is_none(),
                        "{path} is two files"
                    );
                    Ok::<(), EngineError>(())
                })
                .unwrap();
            let dirs: Vec<String> = place.manifest_dirs().collect();
            for dir in &dirs {
                let mut text = String::new();
                let below = format!("{dir}/");
                let inner = |path: &str| {
                    dirs.iter()
                        .any(|other| other.len() > dir.len() && path.starts_with(&format!("{other}/")))
                };
                for (path, bytes) in files
                    .iter()
                    .filter(|(path, _)| path.starts_with(&below) && !inner(path))
                {
                    let hash: [u8; 32] = Sha256::digest(bytes).into();
                    let below = path.strip_prefix(&below).unwrap();
                    text.extend([&hex::encode(&hash), "  ", below, "\n"]);
                }
                if !text.is_empty() {
                    all.insert(format!("{dir}/MANIFEST.sha256"), text.into_bytes());
                }
            }
            all.append(&mut files);
        }
        all
    }

    /// The audit log as `/v1/_audit/` answers it, by paths in a mirror; nothing while there is no checkpoint.
    pub(super) fn published(&self) -> Files {
        let proof = Authorized::local("test", Op::Audit, Target::Store);
        let Ok(checkpoint) = self.engine.audit_checkpoint(&proof) else {
            return Files::new();
        };
        let bytes = |resource| match resource {
            Resource::Checkpoint => checkpoint.text().as_bytes().to_vec(),
            Resource::Tile(tile) => self.engine.audit_tile(&proof, tile).unwrap(),
            Resource::Entries(bundle) => self.engine.audit_entries(&proof, bundle).unwrap(),
        };
        Resource::all_in_tree(checkpoint.size())
            .map(|resource| (format!("log/{resource}"), bytes(resource)))
            .collect()
    }

    /// Has the log's worker sign from now on, with the store's own key.
    pub(super) fn sign(&self) {
        let inner = &self.engine.inner;
        let key = inner.signer.key(inner.dir()).unwrap().clone();
        self.engine.sign_audit_log(key);
    }

    /// What the store signs its log with.
    pub(super) fn log_signer(&self) -> NoteSigner {
        let inner = &self.engine.inner;
        let name = LogName::of_store(&inner.realm, &inner.store);
        NoteSigner::new(name, inner.signer.key(inner.dir()).unwrap().clone())
    }

    /// Publishes a checkpoint of all leaves, as the worker of the audit log does, and at once.
    pub(super) fn publish(&self) -> SignedCheckpoint {
        let signer = self.log_signer();
        let inner = &self.engine.inner;
        let snapshot = inner.storage.snapshot();
        let leaves = State::of(inner).mark().unwrap().leaves;
        let (mut tree, mut tiles) = (GrowingTree::new(), Vec::new());
        for entry in entries(&*snapshot, 0, leaves) {
            tiles.extend(tree.push(leaf_hash(&entry.unwrap())));
        }
        assert_eq!(tree.size(), leaves);
        let checkpoint = SignedCheckpoint::sign(leaves, tree.root(), &signer).unwrap();
        let tiles = tiles
            .iter()
            .map(|tile| (tile.id().level(), tile.id().number(), tile.to_bytes().into()));
        let rows = AuditRows {
            tiles: tiles.collect(),
            checkpoint: Some(StoredCheckpoint::encode(&checkpoint, signer.verifier_key())),
        };
        inner
            .submit_system("audit", Mutation::Audit(Box::new(rows)))
            .unwrap();
        inner.audit.publish(checkpoint.clone());
        checkpoint
    }

    /// The directory holds what it should, and nothing else.
    pub(super) fn assert_equal(&self, what: &str) {
        let mut found = found(&self.place());
        let root = found.remove("wfldb.json").unwrap();
        let root: Value = serde_json::from_slice(&root).unwrap();
        assert!(
            root["position"].as_u64().is_some_and(|position| position > 0),
            "{root}"
        );
        assert!(
            found
                .remove("keys/allowed_signers")
                .unwrap()
                .starts_with(b"wfldb namespaces=")
        );
        let mut expected = self.expected(&found);
        expected.append(&mut self.published());
        let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{what}");
        for (path, bytes) in &expected {
            let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(3000)]).into_owned();
            assert_eq!(text(&found[path]), text(bytes), "{what}: {path}");
            assert_eq!(&found[path], bytes, "{what}: {path}");
        }
    }
}

pub(super) fn bytes(file: MirrorFile) -> Result<Vec<u8>, EngineError> {
    match file.content {
        MirrorContent::Whole(bytes) => Ok(bytes.to_vec()),
        MirrorContent::Object(mut reader) => {
            let mut whole = Vec::new();
            while let Some(piece) = reader.next()? {
                whole.extend_from_slice(&piece);
            }
            Ok(whole)
        }
    }
}

/// Works until there is nothing to do, and comes to rest.
pub(super) fn settle(rounds: &mut Rounds) -> Result<(), Failure> {
    while rounds.step()? == Step::More {}
    rounds.rest()
}

/// Every file below a directory, but for `.tmp`; a link is what it leads to behind an arrow.
pub(super) fn found(place: &Path) -> Files {
    fn walk(place: &Path, dir: &Path, files: &mut Files) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(place).unwrap().to_str().unwrap().to_owned();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                if name != ".tmp" {
                    walk(place, &path, files);
                }
            } else if kind.is_symlink() {
                let to = fs::read_link(&path).unwrap();
                files.insert(name, format!("-> {}", to.display()).into_bytes());
            } else {
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut files = Files::new();
    walk(place, place, &mut files);
    files
}
