//! The rules of documents: which JSON they are, what the store adds to them and signs, how values are ordered, how
//! members are named. Pure, like all of this crate; where documents are stored is the engine's.

mod collate;
mod diff;
mod envelope;
mod instant;
mod json;
mod lazy;
mod order;
mod patch;
mod path;
mod schema;
mod timed;

pub use self::diff::{Blame, Difference, Since, differences};
pub use self::envelope::{
    AdoptError, DocumentFault, DocumentHash, DocumentSignature, Draft, Envelope, EnvelopeError, FORMAT,
    MEMBERS, SIGNATURE, Sealed, Standing, payload, split_signature, stored_text, verify, with_signature,
    without_envelope,
};
pub use self::instant::instant;
pub(crate) use self::instant::{month_of, spell, start_of_month};
pub use self::json::{JsonError, JsonFault, canonical, parse, parse_object};
pub use self::lazy::{FieldSet, Raw};
pub use self::order::{compare, write_begin_of_text, write_key};
pub use self::patch::{JsonPatch, PatchError, PatchFault, merge};
pub use self::path::{FieldPath, PathError};
pub use self::schema::{SchemaError, SchemaFault, check_schema};
pub use self::timed::{TimeFieldError, document_time};
pub use crate::sshsig::{NAMESPACE, allowed_signer, allowed_signer_in, signature_file};

/// A JSON value. Objects are maps sorted by name; numbers that are whole are integers.
pub type Value = serde_json::Value;
/// The members of a JSON object.
pub type Object = serde_json::Map<String, Value>;
