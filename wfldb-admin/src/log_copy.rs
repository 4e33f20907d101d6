//! A copy of an audit log in a directory, laid out as its server publishes it (C2SP tlog-tiles): `checkpoint`,
//! `tile/<level>/…`, `tile/entries/…`. Any static file server can publish it again.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use wfldb_core::audit::{
    BundleId, Finding, LogCheck, Resource, SignedCheckpoint, Tile, TileId, TileSource, TiledTree,
    VerifierKey, verify_consistency,
};
use wfldb_core::limits::{AUDIT_ENTRY_BYTES_MAX, AUDIT_TILE_WIDTH};

use crate::Error;

/// The largest file of a log: a bundle of the longest entries.
const FILE_BYTES_MAX: u64 = AUDIT_TILE_WIDTH as u64 * (2 + AUDIT_ENTRY_BYTES_MAX as u64);

/// A directory with a copy of a log.
#[derive(Debug, Clone)]
pub struct LogCopy {
    dir: PathBuf,
}

/// What a copy came to.
#[derive(Debug, Clone)]
pub struct CopyVerdict {
    /// Its checkpoint, signed by the log.
    pub checkpoint: SignedCheckpoint,
    /// What is wrong; none when the copy is sound.
    pub findings: Vec<Finding>,
}

impl LogCopy {
    /// The copy in a directory, which need not be there yet.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn path(&self, resource: Resource) -> PathBuf {
        self.dir.join(resource.to_string())
    }

    /// The bytes of a part of the log; `None` when it is not there.
    ///
    /// # Errors
    /// `Copy` when it cannot be read, or is larger than any part of a log.
    pub fn read(&self, resource: Resource) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(resource);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::copy(&path, &error)),
        };
        let mut bytes = Vec::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::copy(&path, &error))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(Error::copy(&path, &"is larger than any part of a log"));
        }
        Ok(Some(bytes))
    }

    /// Writes a part of the log: whole, under its name, or not at all.
    ///
    /// # Errors
    /// `Copy`.
    pub fn write(&self, resource: Resource, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(resource);
        let failed = |error: &std::io::Error| Error::copy(&path, error);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(&error))?;
        }
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(".new");
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|error| failed(&error))
    }

    /// Whether the copy has a part that never changes, so that it need not be fetched again.
    pub fn has_for_good(&self, resource: Resource) -> bool {
        let is_full = match resource {
            Resource::Checkpoint => false,
            Resource::Tile(tile) => tile.is_full(),
            Resource::Entries(bundle) => bundle.is_full(),
        };
        is_full && self.path(resource).is_file()
    }

    /// Removes the partial tiles and bundles that a part of a larger tree took the place of.
    ///
    /// # Errors
    /// `Copy`.
    pub fn remove_outgrown(&self, resource: Resource) -> Result<(), Error> {
        let (full, width) = match resource {
            Resource::Checkpoint => return Ok(()),
            Resource::Tile(tile) => {
                let full = TileId::full(tile.level(), tile.number());
                (full.to_string(), tile.width())
            }
            Resource::Entries(bundle) => (BundleId::full(bundle.number()).to_string(), bundle.width()),
        };
        let partial = self.dir.join(format!("{full}.p"));
        let files = match fs::read_dir(&partial) {
            Ok(files) => files,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::copy(&partial, &error)),
        };
        for file in files {
            let file = file.map_err(|error| Error::copy(&partial, &error))?;
            let name = file.file_name();
            let other = name.to_str().and_then(|name| name.parse().ok());
            if other.is_some_and(|other: u16| other < width) {
                fs::remove_file(file.path()).map_err(|error| Error::copy(&file.path(), &error))?;
            }
        }
        if width == AUDIT_TILE_WIDTH {
            // Files of others in there stay, and the directory with them.
            let _ = fs::remove_dir(&partial);
        }
        Ok(())
    }

    /// The checkpoint of the copy, if there is one, verified.
    ///
    /// # Errors
    /// `Copy`; `Audit` when it is not signed by the key.
    pub fn checkpoint(&self, key: &VerifierKey) -> Result<Option<SignedCheckpoint>, Error> {
        let bytes = self.read(Resource::Checkpoint)?;
        let open = |bytes: Vec<u8>| SignedCheckpoint::open(&bytes, key);
        Ok(bytes.map(open).transpose()?)
    }

    /// Checks that the tiles of the copy lead to the root of a checkpoint, and that the tree of an old one is its
    /// beginning: by proofs, so without reading the entries.
    ///
    /// # Errors
    /// `Copy`, `Audit`.
    pub fn check_growth(
        &self,
        checkpoint: &SignedCheckpoint,
        old: Option<&SignedCheckpoint>,
    ) -> Result<(), Error> {
        let mut copy = self;
        let mut tree = TiledTree::new(checkpoint.size(), &mut copy);
        if tree.root()? != checkpoint.root() {
            return Err(Error::Copy(
                "the tiles do not lead to the root of the checkpoint".to_owned(),
            ));
        }
        if let Some(old) = old {
            let proof = tree.consistency_proof(old.size())?;
            verify_consistency(
                old.size(),
                old.root(),
                checkpoint.size(),
                checkpoint.root(),
                &proof,
            )?;
        }
        Ok(())
    }

    /// Checks the whole copy: the checkpoint's signature, every entry, every tile, and that the log goes on from each of
    /// the old checkpoints.
    ///
    /// # Errors
    /// `Copy` when a file cannot be read or there is no checkpoint; `Audit` when that is not signed by the key.
    pub fn verify(&self, key: &VerifierKey, old: &[SignedCheckpoint]) -> Result<CopyVerdict, Error> {
        let checkpoint = self.checkpoint(key)?;
        let checkpoint =
            checkpoint.ok_or_else(|| Error::Copy(format!("{}: has no checkpoint", self.dir.display())))?;
        // What cannot be read is not there for the check, which says so.
        let read = |resource| self.read(resource).ok().flatten();
        let mut check = LogCheck::new(&checkpoint, old);
        for bundle in BundleId::all_in_tree(checkpoint.size()) {
            let bytes = read(Resource::Entries(bundle));
            check.bundle(bundle, bytes.as_deref(), &read);
        }
        let findings = check.finish(&read);
        Ok(CopyVerdict { checkpoint, findings })
    }
}

impl TileSource for &LogCopy {
    type Error = Error;

    fn tile(&mut self, id: TileId) -> Result<Tile, Error> {
        let bytes = self.read(Resource::Tile(id))?;
        let bytes = bytes.ok_or_else(|| Error::Copy(format!("{id} is missing")))?;
        Ok(Tile::parse(id, &bytes)?)
    }
}
