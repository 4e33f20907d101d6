//! Seeds of the fuzz targets for what is read from disk (`fuzz/corpus`). Those that are kept are what the code writes
//! today: `WFLDB_SEEDS=write cargo test -p wfldb-engine seeds` writes them anew.

use std::fs;
use std::path::Path;

use wfldb_core::auth::GrantId;
use wfldb_core::id::{BucketId, ChunkHash, CommitNumber, ContentHash, LogPosition, Seq, UploadId, VersionId};
use wfldb_core::name::{BucketName, ObjectKey, Realm};
use wfldb_core::object::{BucketConfig, ObjectHeaders};
use wfldb_core::time::UnixMillis;

use crate::backup::manifest_seed;
use crate::chunk::file_seeds;
use crate::commit::plan::{Due, DueWhat};
use crate::row::{
    Action, BucketCounters, BucketRow, ChangeRow, CommitMark, Completed, Effect, EvidenceRow, LeafLink,
    ObjectRow, PartRow, UploadRow, key,
};
use crate::store::{FORMAT, StoreFile};

fn keep(target: &str, name: &str, seed: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
        .join(name);
    if std::env::var_os("WFLDB_SEEDS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, seed).unwrap();
    }
    assert!(
        fs::read(&path).unwrap_or_default() == seed,
        "{target}/{name} is not what is written today"
    );
}

fn row(kind: u8, name: &str, row: &[u8]) {
    keep("rows", name, &[&[kind], row].concat());
}

/// A defect it catches: seeds of a form that the code no longer reads, so that the targets begin at nothing.
#[test]
#[expect(clippy::too_many_lines, reason = "one of everything")]
fn seeds_of_what_is_on_disk_are_what_is_written_today() {
    let (bucket, object) = (BucketId::from_bytes([1; 16]), ObjectKey::parse("a/b").unwrap());
    let version = VersionId::from_bytes([2; 16]);
    let (etag, at) = (ContentHash::of(b"x"), UnixMillis::new(1_767_323_045_006));
    let headers = ObjectHeaders::parse([
        ("content-type", "text/plain"),
        ("x-wfldb-meta-a", "b"),
        ("x-wfldb-tags", "colour=red"),
        ("x-wfldb-ttl", "60"),
    ])
    .unwrap();
    let grant = GrantId::from_bytes([3; 32]);
    let chunk = ChunkHash::from_bytes([4; 32]);
    let config = BucketConfig::parse_json(br#"{"versions":{"keep":3},"quota_bytes":9}"#).unwrap();
    let bucket_row = BucketRow {
        indexes: crate::row::Indexes::default(),
        id: bucket,
        name: BucketName::parse("photos").unwrap(),
        created: at,
        config,
        schema: Some("{}".into()),
        schema_at: LogPosition::new(7),
    };
    row(b'b', "bucket", &bucket_row.encode());
    let effect = Effect {
        action: Action::VersionPruned,
        key: "a/b".to_owned(),
        version,
        etag: Some(etag),
        len: 1,
    };
    let change = ChangeRow {
        prev: [5; 32],
        position: LogPosition::new(7),
        at,
        bucket,
        seq: Seq::new(6),
        action: Action::ObjectPut,
        key: "a/b".to_owned(),
        version: Some(version),
        etag: Some(etag),
        len: 1,
        config: Some(bucket_row.config_json()),
        evidence: [6; 32],
        entries: vec![effect],
        buckets: Vec::new(),
        leaf: Some(LeafLink {
            leaf: 6,
            entry: [11; 32],
        }),
    };
    row(b'c', "change", &change.encode());
    let evidence = EvidenceRow {
        salt: [7; 32],
        actor: "local:seed".to_owned(),
        packet: Some("a.b.c".to_owned()),
        canonical: b"WFLDB-ED25519-1\n".to_vec(),
        signature: vec![8; 64],
    };
    row(b'e', "evidence", &evidence.encode());
    let counters = BucketCounters {
        seq: 6,
        last_version: Some(version),
        objects: 1,
        ..BucketCounters::default()
    };
    row(b'n', "counters", &counters.encode());
    let mark = CommitMark {
        number: CommitNumber::new(6),
        position: LogPosition::new(7),
        at,
        chain: [9; 32],
        leaves: 7,
    };
    row(b'm', "mark", &mark.encode());
    let stored = ObjectRow {
        version,
        seq: Seq::new(6),
        position: LogPosition::new(7),
        deleted: false,
        etag,
        len: 1,
        modified: at,
        headers: headers.clone(),
        inline: false,
        chunk_bytes: 4 << 20,
        chunks: vec![chunk],
        charges: vec![grant],
        pruned: true,
        signature: Some(wfldb_core::doc::DocumentSignature {
            key: [5; 32],
            bytes: wfldb_core::id::SignatureBytes::from_bytes([6; 64]),
        }),
        time: None,
    };
    row(b'o', "object", &stored.encode());
    let upload = UploadRow {
        key: object.clone(),
        actor: "wc1".to_owned(),
        part_bytes: 5 << 20,
        expires: at,
        headers,
        completed: Some(Completed {
            version,
            seq: Seq::new(6),
            etag,
            created: true,
            list: [10; 32],
        }),
    };
    row(b'u', "upload", &upload.encode());
    let part = PartRow {
        etag,
        len: 1,
        chunks: vec![chunk],
        values: vec![[11; 32]],
        reference: version,
        charges: vec![grant],
    };
    row(b'p', "part", &part.encode());
    row(b'k', "key-of-head", &key::head(&bucket, &object));
    row(b'k', "key-of-version", &key::version(&bucket, &object, &version));
    row(b'k', "key-of-change", &key::change(LogPosition::new(7)));
    row(
        b'k',
        "key-of-part",
        &key::part(&bucket, UploadId::from_bytes([12; 16]), 3),
    );
    let what = DueWhat::Version(object, version);
    let due = key::due(&bucket, &Due { at, what });
    row(b'k', "key-of-due", &[&due[..], b"\na/b"].concat());
    keep(
        "slots",
        "replay",
        &[&[1, 2, 8][..], &at.get().to_be_bytes(), &[0; 8]].concat(),
    );
    keep(
        "slots",
        "mark",
        &[&[9, 3, 56][..], &mark.encode(), &mark.encode()].concat(),
    );
    let store = StoreFile {
        format: FORMAT,
        store: "00112233445566778899aabbccddeeff".to_owned(),
        realm: Realm::parse("local").unwrap(),
        trust: Vec::new(),
        keyspaces: vec![("meta".to_owned(), 1)],
    };
    let text = store.encode();
    keep("store_file", "plain", text.lines().next().unwrap().as_bytes());
    keep("backup_manifest", "plain", &manifest_seed(&store, &mark));
    for (name, seed) in file_seeds() {
        keep("chunk_file", name, &seed);
    }
}
