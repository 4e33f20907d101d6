//! FlatBuffers code generated from `schemas/*.fbs`, as modules with short names.
//!
//! Nothing here is written by hand: `schemas/generate.sh` makes `generated/`, and CI fails when it is stale.
//! What the tables mean is said in the schemas; building and (always bounded) reading of them lives with their
//! users, `wfldb-net` for [`wire`] and `wfldb-engine` for [`store`].

/// Answers of the wire protocol (`schemas/wire.fbs`).
pub mod wire {
    pub use crate::wire_generated::wfldb::wire::v_1::*;
}

/// Rows of the store (`schemas/store.fbs`).
pub mod store {
    pub use crate::store_generated::wfldb::store::*;
}

#[path = "generated/wire_generated.rs"]
#[allow(
    warnings,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "the FlatBuffers compiler writes this file; its unsafe accessors rely on the verifier, which every reader of ours runs first"
)]
mod wire_generated;

#[path = "generated/store_generated.rs"]
#[allow(
    warnings,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "the FlatBuffers compiler writes this file; its unsafe accessors rely on the verifier, which every reader of ours runs first"
)]
mod store_generated;
