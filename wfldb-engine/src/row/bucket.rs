//! A bucket as stored: FlatBuffers, table `BucketRow` of `schemas/store.fbs`.

use std::sync::Arc;

use flatbuffers::FlatBufferBuilder;
use wfldb_core::id::{BucketId, LogPosition};
use wfldb_core::name::BucketName;
use wfldb_core::object::BucketConfig;
use wfldb_core::time::UnixMillis;
use wfldb_schemas::store;

use super::index::Indexes;
use super::{RowError, id, id_bytes, verifier};

const DAMAGED: RowError = RowError("bucket");

/// A bucket's identity, configuration and indexes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BucketRow {
    pub(crate) id: BucketId,
    pub(crate) name: BucketName,
    pub(crate) created: UnixMillis,
    pub(crate) config: BucketConfig,
    pub(crate) indexes: Indexes,
    /// What its documents have to be like: a JSON Schema in canonical JSON.
    pub(crate) schema: Option<Arc<str>>,
    /// The change that set or removed it.
    pub(crate) schema_at: LogPosition,
}

impl BucketRow {
    /// The configuration in its wire shape.
    pub(crate) fn config_json(&self) -> String {
        // A struct of numbers and flags always serialises.
        serde_json::to_string(&self.config).unwrap_or_default()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::with_capacity(256);
        let name = Some(builder.create_string(self.name.as_str()));
        let config = Some(builder.create_string(&self.config_json()));
        let indexes = (!self.indexes.is_empty()).then(|| {
            let json = serde_json::to_string(&self.indexes).unwrap_or_default();
            builder.create_string(&json)
        });
        let schema = self.schema.as_deref();
        let schema = schema.map(|schema| builder.create_string(schema));
        let args = store::BucketRowArgs {
            id: Some(&id(self.id.as_bytes())),
            name,
            created_ms: self.created.get(),
            config,
            indexes,
            schema,
            schema_at: self.schema_at.get(),
        };
        let row = store::BucketRow::create(&mut builder, &args);
        builder.finish(row, None);
        builder.finished_data().to_vec()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let row =
            flatbuffers::root_with_opts::<store::BucketRow<'_>>(&verifier(), row).map_err(|_| DAMAGED)?;
        Ok(Self {
            id: BucketId::from_bytes(id_bytes(row.id())),
            name: BucketName::parse(row.name()).map_err(|_| DAMAGED)?,
            created: UnixMillis::new(row.created_ms()),
            config: BucketConfig::parse_json(row.config().as_bytes()).map_err(|_| DAMAGED)?,
            indexes: match row.indexes() {
                Some(json) => serde_json::from_str(json).map_err(|_| DAMAGED)?,
                None => Indexes::default(),
            },
            schema: row.schema().map(Arc::from),
            schema_at: LogPosition::new(row.schema_at()),
        })
    }
}
