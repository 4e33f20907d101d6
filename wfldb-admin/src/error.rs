//! What can go wrong. No message holds a secret.

use wfldb_core::packet::PacketError;

/// Every error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or profile cannot be used.
    #[error(transparent)]
    File(#[from] wfldb_client::Error),
    /// A packet breaks a rule.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// A certificate cannot be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A backup was not taken, checked or restored.
    #[error(transparent)]
    Backup(#[from] wfldb_engine::BackupError),
    /// The store did not open.
    #[error(transparent)]
    Open(#[from] wfldb_engine::OpenError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] wfldb_engine::EngineError),
    /// A copy of an audit log, or a receipt, cannot be used or is not what it should be.
    #[error("{0}")]
    Copy(String),
    /// A part of an audit log is not what it should be.
    #[error("audit log: {0}")]
    Audit(#[from] wfldb_core::audit::AuditError),
    /// A receipt is not believed.
    #[error("receipt: {0}")]
    Receipt(#[from] wfldb_core::audit::ReceiptError),
    /// The operating system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

impl Error {
    /// Something about a file of a copy.
    pub fn copy(path: &std::path::Path, why: &dyn std::fmt::Display) -> Self {
        Self::Copy(format!("{}: {why}", path.display()))
    }
}
