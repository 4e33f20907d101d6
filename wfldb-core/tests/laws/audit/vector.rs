//! The protocol's worked vector of an audit log, which another program made: byte for byte, and the document has it so.

use wfldb_core::audit::{
    Commitment, Content, Entry, EntryActor, EntryOp, GrowingTree, Label, LogName, NoteSigner, Outcome,
    SignedCheckpoint, evidence_value,
};
use wfldb_core::id::{BucketId, ContentHash, LeafIndex, SecretKey, SignatureBytes, VersionId};
use wfldb_core::name::Realm;
use wfldb_core::time::UnixMillis;

use crate::worked_vector::{CANONICAL, PACKET, SIGNATURE};

const DOCUMENT: &str = include_str!("../../../../docs/PROTOCOL.md");

/// A defect it catches: any change of a form that readers of the document would not follow.
#[test]
fn the_worked_vector_of_the_document_comes_out() {
    let at = UnixMillis::parse("2026-01-02T03:04:05.006Z").unwrap();
    let salt = [9; 32];
    let commit = |label, value: &[u8]| Some(Commitment::new(&salt, label, value));
    let content = Content::Object {
        etag: Some(ContentHash::of(b"hello wflDB")),
        len: 11,
        version: Some(VersionId::from_parts(at, [3; 10])),
    };
    let signature = SignatureBytes::parse(SIGNATURE).unwrap();
    let evidence = evidence_value(PACKET, CANONICAL.as_bytes(), signature.as_bytes());
    let first = Entry::erased(LeafIndex::new(0), UnixMillis::new(at.get() - 1), EntryOp::PUT);
    let second = Entry {
        leaf: LeafIndex::new(1),
        at,
        actor: Some(EntryActor::parse("wc125njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkencm4a").unwrap()),
        op: EntryOp::PUT,
        outcome: Outcome::Ok,
        bucket: commit(Label::Bucket, BucketId::from_bytes([1; 16]).as_bytes()),
        key: commit(Label::Key, b"a b/cat.jpg"),
        content: commit(Label::Content, &content.value()),
        evidence: commit(Label::Evidence, &evidence),
    };
    let name = LogName::of_store(&Realm::parse("test-cluster").unwrap(), &[0xab; 16]);
    let signer = NoteSigner::new(name, SecretKey::from_seed([4; 32]));
    let mut tree = GrowingTree::new();
    tree.push(first.hash());
    tree.push(second.hash());
    let checkpoint = SignedCheckpoint::sign(tree.size(), tree.root(), &signer).unwrap();

    for text in [
        String::from_utf8(first.to_bytes()).unwrap(),
        String::from_utf8(second.to_bytes()).unwrap(),
        format!("Its entry has {} bytes", second.to_bytes().len()),
        first.hash().to_string(),
        second.hash().to_string(),
        signer.verifier_key().to_string(),
        format!("```\n{}```", checkpoint.text()),
    ] {
        assert!(DOCUMENT.contains(&text), "{text}");
    }
}
