//! The schema of a bucket's documents. What a schema may be is `wfldb_core::doc`'s; documents are held against it when
//! they are planned, and the commit asks for another plan where the schema has changed since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{Draft, PatternOptions, Validator};
use wfldb_core::auth::{Authorized, Op};
use wfldb_core::doc::{self, Object, SchemaError, SchemaFault, Value};
use wfldb_core::id::{BucketId, LogPosition};
use wfldb_core::limits::SCHEMA_BYTES_MAX;

use crate::bucket::{bucket_of, resolve};
use crate::commit::plan::{Applied, Mutation};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::pending::Pending;
use crate::row::BucketRow;

/// Compiled schemas that are kept.
const KEPT_MAX: usize = 64;
/// The most memory that a regular expression may take, compiled.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Compiled schemas, by bucket and the change that set them.
#[derive(Default)]
pub(crate) struct Schemas(Mutex<HashMap<(BucketId, LogPosition), Arc<Validator>>>);

impl Schemas {
    fn of(&self, bucket: &BucketRow, schema: &str) -> Result<Arc<Validator>, EngineError> {
        let name = (bucket.id, bucket.schema_at);
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = kept().get(&name) {
            return Ok(Arc::clone(validator));
        }
        let schema = doc::parse(schema.as_bytes()).map_err(|_| EngineError::Corrupt("schema"))?;
        let validator = Arc::new(compile(&schema).map_err(|_| EngineError::Corrupt("schema"))?);
        let mut kept = kept();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(name, Arc::clone(&validator));
        Ok(validator)
    }
}

fn compile(schema: &Value) -> Result<Validator, SchemaError> {
    doc::check_schema(schema)?;
    // SECURITY: expressions of this kind take time in proportion to the text; and nothing is fetched from anywhere.
    let patterns = PatternOptions::regex()
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX);
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(patterns)
        .offline()
        .build(schema)
        .map_err(|error| SchemaError {
            fault: SchemaFault::Malformed,
            pointer: error.instance_path().to_string(),
        })
}

impl Inner {
    /// Holds a document's own members against the schema of its bucket.
    pub(super) fn check_document(&self, bucket: &BucketRow, members: &Object) -> Result<(), EngineError> {
        let Some(schema) = &bucket.schema else {
            return Ok(());
        };
        let validator = self.schemas.of(bucket, schema)?;
        let members = Value::Object(doc::without_envelope(members.clone()));
        validator.validate(&members).map_err(|error| EngineError::Schema {
            pointer: error.instance_path().to_string(),
            rule: error.schema_path().to_string(),
        })
    }
}

impl Engine {
    /// Sets the schema (JSON Schema, draft 2020-12) that documents of the bucket have to follow which `proof` names, or
    /// removes it. What is stored already is not held against it. Answers whether that changed anything.
    ///
    /// # Errors
    /// `Json` and `BadSchema` for what is no schema that is served, `TooLarge`, `NotDocuments`, `NoSuchBucket`, and those
    /// of every write.
    pub fn put_schema(&self, proof: &Authorized, schema: Option<&[u8]>) -> Pending<bool> {
        let planned = (|| {
            let bucket = bucket_of(proof, Op::Manage)?.clone();
            let schema = schema.map(read).transpose()?;
            self.inner.admit_bytes()?;
            Ok(Mutation::SetSchema { bucket, schema })
        })();
        self.inner.submit(proof, planned, None, |applied| match applied {
            Applied::SchemaSet => Ok(true),
            Applied::Nothing => Ok(false),
            _ => Err(EngineError::OutcomeUnknown),
        })
    }

    /// The schema of the bucket that `proof` names, in canonical JSON.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NotDocuments`.
    pub fn schema(&self, proof: &Authorized) -> Result<Option<Arc<str>>, EngineError> {
        let name = bucket_of(proof, Op::Manage)?;
        let bucket = resolve(&*self.inner.storage.snapshot(), name)?;
        if bucket.config.kind != wfldb_core::object::BucketKind::Documents {
            return Err(EngineError::NotDocuments);
        }
        Ok(bucket.schema)
    }
}

fn read(schema: &[u8]) -> Result<Arc<str>, EngineError> {
    if schema.len() > SCHEMA_BYTES_MAX {
        return Err(EngineError::TooLarge);
    }
    let schema = doc::parse(schema)?;
    compile(&schema)?;
    let canonical = String::from_utf8(doc::canonical(&schema));
    canonical
        .map(Arc::from)
        .map_err(|_| EngineError::Corrupt("schema"))
}
