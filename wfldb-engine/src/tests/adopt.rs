//! Documents that another store signed, taken over as they are.

use std::sync::Arc;

use wfldb_core::doc::{self, AdoptError, DocumentFault};
use wfldb_core::id::PublicKey;
use wfldb_core::object::BucketKind;

use super::*;

/// A store with a bucket of documents, and the key that it signs with.
struct Store {
    engine: Engine,
    _dir: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), options()).unwrap();
        let config = BucketConfig {
            kind: BucketKind::Documents,
            ..BucketConfig::default()
        };
        for bucket in ["docs", "others"] {
            let manage = of_bucket(bucket, Op::Manage);
            engine.put_bucket(&manage, config.clone()).wait().unwrap();
        }
        Self { engine, _dir: dir }
    }

    fn put(&self, json: &str) {
        let proof = object("docs", "a", Op::Put);
        let put = |engine: &Engine| {
            engine.put_document(
                &proof,
                json.as_bytes(),
                ObjectHeaders::default(),
                Preconditions::default(),
            )
        };
        self.engine.settled(put).unwrap();
    }

    fn read(&self) -> Vec<u8> {
        let proof = object("docs", "a", Op::Get);
        self.engine.document(&proof, Which::Newest).unwrap().json.to_vec()
    }

    /// The keys of stores that are believed: of this one only.
    fn trusted(&self) -> Arc<[PublicKey]> {
        let (_, signature) = doc::split_signature(doc::parse_object(&self.read()).unwrap()).unwrap();
        Arc::from([PublicKey::from_bytes(&signature.key).unwrap()])
    }

    fn adopt_at(
        &self,
        bucket: &str,
        key: &str,
        text: &[u8],
        trusted: &Arc<[PublicKey]>,
    ) -> Result<PutOutcome, EngineError> {
        let proof = object(bucket, key, Op::Put);
        let document = doc::parse_object(text).unwrap();
        let adopt = |engine: &Engine| {
            engine.adopt_document(&proof, document.clone(), trusted, Preconditions::default())
        };
        self.engine.settled(adopt)
    }

    fn adopt(&self, text: &[u8], trusted: &Arc<[PublicKey]>) -> Result<PutOutcome, EngineError> {
        self.adopt_at("docs", "a", text, trusted)
    }

    fn faults(&self) -> Vec<&'static str> {
        let history = self
            .engine
            .history(&object("docs", "a", Op::Get), None, 100, true)
            .unwrap();
        let wrong = history
            .items
            .iter()
            .filter(|item| matches!(item.verified, Some(Err(_))));
        wrong.map(|_| "a version").collect()
    }
}

fn why(result: Result<PutOutcome, EngineError>) -> AdoptError {
    match result {
        Err(EngineError::Adopt(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_document_is_kept_to_the_byte_and_written_on() {
    let (theirs, ours) = (Store::new(), Store::new());
    theirs.put(r#"{"n":1}"#);
    let trusted = theirs.trusted();
    let first = theirs.read();
    ours.adopt(&first, &trusted).unwrap();
    assert_eq!(ours.read(), first);
    // Two versions later, of which we never see the one between.
    theirs.put(r#"{"n":2}"#);
    theirs.put(r#"{"n":3}"#);
    let third = theirs.read();
    ours.adopt(&third, &trusted).unwrap();
    assert_eq!(ours.read(), third);
    assert_sound(&ours.engine);
    assert!(ours.faults().is_empty());
    // What comes after is ours, and follows theirs.
    ours.put(r#"{"n":4}"#);
    let fourth = doc::parse_object(&ours.read()).unwrap();
    let third = doc::parse_object(&third).unwrap();
    assert_eq!((&fourth["_v"], &fourth["_prev"]), (&4.into(), &third["_hash"]));
    assert_ne!(fourth["_by"], "");
    assert_sound(&ours.engine);
    assert!(ours.faults().is_empty());
}

/// DEFECT: a document that anybody could have made, or that stands elsewhere, or that turns the clock back.
#[test]
fn what_is_not_signed_by_a_trusted_store_or_is_older_is_refused_and_changes_nothing() {
    let (theirs, ours) = (Store::new(), Store::new());
    theirs.put(r#"{"n":1}"#);
    let trusted = theirs.trusted();
    let first = theirs.read();
    theirs.put(r#"{"n":2}"#);
    let second = theirs.read();
    ours.put(r#"{"n":"own"}"#);
    let own = ours.read();
    let nobody: Arc<[PublicKey]> = Arc::from([]);
    assert_eq!(why(ours.adopt(&second, &nobody)), AdoptError::Untrusted);
    assert_eq!(why(ours.adopt(&second, &ours.trusted())), AdoptError::Untrusted);
    let fault = |fault| AdoptError::Fault(fault);
    for (from, to, wanted) in [
        (r#""n":2"#, r#""n":3"#, fault(DocumentFault::Hash)),
        (r#""_v":2"#, r#""_v":3"#, fault(DocumentFault::Hash)),
        (r#""_id":"a""#, r#""_id":"b""#, fault(DocumentFault::Id)),
        (r#""_by":""#, r#""_by":"x"#, fault(DocumentFault::Hash)),
        (r#""n":2"#, r#""n":2,"_x":1"#, fault(DocumentFault::Envelope)),
    ] {
        let text = String::from_utf8(second.clone()).unwrap();
        let edited = text.replacen(from, to, 1);
        assert_ne!(edited, text, "{from}");
        assert_eq!(why(ours.adopt(edited.as_bytes(), &trusted)), wanted, "{to}");
    }
    let mut stripped = doc::parse_object(&second).unwrap();
    stripped.remove("_sig");
    let stripped = serde_json::to_vec(&stripped).unwrap();
    assert_eq!(
        why(ours.adopt(&stripped, &trusted)),
        fault(DocumentFault::Signature)
    );
    // Under another key and in another bucket it is another document.
    let elsewhere = ours.adopt_at("docs", "b", &second, &trusted);
    assert_eq!(why(elsewhere), fault(DocumentFault::Id));
    let elsewhere = ours.adopt_at("others", "a", &second, &trusted);
    assert_eq!(why(elsewhere), fault(DocumentFault::Hash));
    assert_eq!(ours.read(), own);

    // Only forward: the newer one stands on another first version, which is no fault.
    assert_eq!(why(ours.adopt(&first, &trusted)), AdoptError::Older);
    theirs.put(r#"{"n":3}"#);
    let third = theirs.read();
    ours.adopt(&third, &trusted).unwrap();
    assert_eq!(why(ours.adopt(&third, &trusted)), AdoptError::Present);
    assert_eq!(why(ours.adopt(&second, &trusted)), AdoptError::Older);
    assert_eq!(ours.read(), third);
    assert_sound(&ours.engine);
    assert!(ours.faults().is_empty());
}
