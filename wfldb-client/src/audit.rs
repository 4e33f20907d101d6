//! The audit log as a server publishes it, and receipts of what it holds. Nothing here is believed because it came:
//! `wfldb_core::audit` verifies it with the log's verifier key.

use bytes::Bytes;
use wfldb_core::audit::{Receipt, Resource};
use wfldb_core::auth::Method;
use wfldb_core::id::VersionId;
use wfldb_core::name::{BucketName, ObjectKey};

use crate::call::Call;
use crate::{Client, Error};

impl Client {
    /// The bytes of the newest checkpoint, of a tile, or of a bundle of entries. Needs `audit` on everything.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn audit_resource(&self, resource: Resource) -> Result<Bytes, Error> {
        let call = Call::new(Method::Get, format!("/v1/_audit/{resource}"));
        self.caller.send(&call).await?.bytes().await
    }

    /// The receipt of the change that wrote this version. Needs `audit` on the key. It is read and not verified.
    ///
    /// # Errors
    /// `Api`, also while no checkpoint covers the change yet; `Transport`; `Corrupt` for an answer that is no receipt.
    pub async fn audit_receipt(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: &VersionId,
    ) -> Result<Receipt, Error> {
        let version = version.to_string();
        let call = Call::new(Method::Get, "/v1/_audit/receipt".to_owned()).query(&[
            ("bucket", bucket.as_str()),
            ("key", key.as_str()),
            ("version", &version),
        ]);
        let body = self.caller.send(&call).await?.bytes().await?;
        Receipt::parse(&body).map_err(|error| Error::Corrupt(format!("the server's receipt is {error}")))
    }
}
