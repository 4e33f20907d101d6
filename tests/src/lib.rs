//! What the black-box tests share: the real binaries as processes, and raw signed HTTP/1.1.
//!
//! Cargo builds the binaries for `cargo test --workspace`, because their crates have integration tests. Everything
//! goes over loopback, on ports that the system picks; only processes started here are ended.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test helper fails by panicking"
)]

mod http1;
pub mod http2;
mod proxy;
mod server;
mod store;
mod tls;

pub use self::http1::{Answer, Request, read_answer, send_on, send_over, send_raw};
pub use self::proxy::Proxy;
pub use self::server::{Server, binary, wait_until};
pub use self::store::{chunk_files, copy_dir, files, is_verified_sound};
pub use self::tls::{Authority, TlsCaller, TlsWire, Validity, tls_wire, write_pair};

use wfldb_core::name::{BucketName, ObjectKey};

/// A bucket's name.
#[must_use]
pub fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).unwrap()
}

/// An object's key.
#[must_use]
pub fn key(key: &str) -> ObjectKey {
    ObjectKey::parse(key).unwrap()
}

/// Bytes that depend on `seed` and compress badly; the same each time.
#[must_use]
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
