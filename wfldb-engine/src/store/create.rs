//! Making a new store. Until the `STORE` file is there, whatever else is there is nothing.

use std::fs;

use wfldb_core::id::KeyId;
use wfldb_core::name::Realm;
use zeroize::Zeroizing;

use super::OpenError;
use super::file::{FORMAT, StoreFile};
use super::layout::{Layout, remove_all, sync_dir, write_synced};
use super::slots::HighWaterMark;
use crate::row::CommitMark;
use crate::storage::{FjallStorage, StorageError};

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Fresh random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StorageError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StorageError::Open(error.to_string()))?;
    Ok(bytes)
}

/// `local-` and 16 random base32 characters: two stores never share a realm by accident.
fn random_realm() -> Result<Realm, StorageError> {
    let random = random::<16>()?;
    let tail = random
        .iter()
        .filter_map(|byte| BASE32.get(usize::from(byte % 32)))
        .map(|byte| char::from(*byte));
    let name: String = "local-".chars().chain(tail).collect();
    Realm::parse(&name).map_err(|error| StorageError::Open(error.to_string()))
}

/// Makes a store in `layout`'s directory, which holds none.
pub(crate) fn create(
    layout: &Layout,
    realm: Option<Realm>,
    trust: Vec<KeyId>,
    filters: bool,
) -> Result<StoreFile, OpenError> {
    let io = |what: &'static str| OpenError::io(what);
    let dir = layout.dir.display().to_string();
    if layout.creating().exists() {
        // An earlier creation was cut off before `STORE` was there: nothing in it was ever answered for.
        for leftover in [
            layout.database(),
            layout.chunks(),
            layout.high_water_mark(),
            layout.replay_mark(),
        ] {
            remove_all(&leftover).map_err(io("an unfinished creation"))?;
        }
    } else if layout.database().exists() || layout.high_water_mark().exists() {
        return Err(OpenError::StoreFile(dir));
    }
    write_synced(&layout.creating(), b"", 0o644).map_err(io("CREATING"))?;

    // A first start of fjall that is cut off can leave a directory that never opens: it is made aside.
    let aside = layout.dir.join("db.tmp");
    remove_all(&aside).map_err(io("db.tmp"))?;
    let storage = FjallStorage::open_with(&aside, 8 * 1024 * 1024, filters)?;
    let keyspaces = storage.keyspace_ids();
    drop(storage);
    fs::rename(&aside, layout.database()).map_err(io("db"))?;

    let secret = Zeroizing::new(random::<32>()?);
    let keys = layout.secret();
    if let Some(parent) = keys.parent() {
        fs::create_dir_all(parent).map_err(io("keys"))?;
    }
    write_synced(&keys, &*secret, 0o600).map_err(io("keys/store.secret"))?;
    let (mark, _) = HighWaterMark::open(&layout.high_water_mark()).map_err(io("HWM"))?;
    mark.advance(&CommitMark::ZERO)
        .and_then(|()| mark.sync())
        .map_err(io("HWM"))?;
    super::ReplayMark::create(&layout.replay_mark()).map_err(io("REPLAY"))?;
    fs::create_dir_all(layout.chunks()).map_err(io("chunks"))?;
    sync_dir(&layout.dir).map_err(io("the store's directory"))?;

    let store = format!("{:032x}", u128::from_be_bytes(random()?));
    let realm = realm.map_or_else(random_realm, Ok)?;
    let file = StoreFile {
        format: FORMAT,
        store,
        realm,
        trust,
        keyspaces,
    };
    // DURABILITY: from this rename on the store exists.
    file.write(layout).map_err(io("STORE"))?;
    remove_all(&layout.creating()).map_err(io("CREATING"))?;
    Ok(file)
}
