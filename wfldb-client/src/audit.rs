//! The audit log as a server publishes it, and receipts of what it holds. Nothing here is believed because it came:
//! `wfldb_core::audit` verifies it with the log's verifier key.

use bytes::Bytes;
use wfldb_core::audit::{Receipt, Resource};
use wfldb_core::auth::Method;
use wfldb_core::id::{LeafIndex, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};

use crate::call::{Answer, Call, Caller};
use crate::{Client, Error};

/// A change that was asked for with its receipt.
#[derive(Debug)]
pub struct Receipted<T> {
    /// What was done.
    pub done: T,
    /// The index of its entry in the audit log; none where nothing was changed, or the packet may not learn that.
    pub leaf: Option<LeafIndex>,
    /// The receipt, unless no checkpoint covered the change in time. It is read and not verified.
    pub receipt: Option<Receipt>,
}

impl<T> Receipted<T> {
    pub(crate) async fn of(caller: &Caller, done: T, answer: Answer) -> Result<Self, Error> {
        let leaf = answer.parts.headers.get("x-wfldb-leaf");
        let leaf = leaf.and_then(|leaf| leaf.to_str().ok()?.parse().ok());
        let body = answer.bytes().await.ok();
        Ok(Self {
            done,
            leaf: leaf.map(LeafIndex::new),
            receipt: caller.receipt_in(body.as_deref())?,
        })
    }
}

impl Caller {
    /// Reads a receipt. Where the profile names the server's node key, one of another log is refused; otherwise it is not
    /// verified.
    pub(crate) fn receipt(&self, body: &[u8]) -> Result<Receipt, Error> {
        let wrong = |why: &dyn std::fmt::Display| Error::Corrupt(format!("the server's receipt is {why}"));
        let receipt = Receipt::parse(body).map_err(|error| wrong(&error))?;
        if let Some(node) = &self.node {
            let proven = receipt.verify_of_node(&self.audience, node.public_key());
            let why = |error| format!("not one of the node key that the profile names: {error}");
            proven.map_err(|error| wrong(&why(error)))?;
        }
        Ok(receipt)
    }

    /// The same of the answer to a write, which may have none.
    pub(crate) fn receipt_in(&self, body: Option<&[u8]>) -> Result<Option<Receipt>, Error> {
        match body.filter(|body| Receipt::parse(body).is_ok()) {
            None => Ok(None),
            Some(body) => self.receipt(body).map(Some),
        }
    }
}

/// The header that asks for a receipt.
pub(crate) fn asks_for_receipt(call: &mut Call) {
    call.headers
        .push(("x-wfldb-receipt".to_owned(), "true".to_owned()));
}

impl Client {
    /// The bytes of the newest checkpoint, of a tile, or of a bundle of entries. Needs `audit` on everything.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn audit_resource(&self, resource: Resource) -> Result<Bytes, Error> {
        let call = Call::new(Method::Get, format!("/v1/_audit/{resource}"));
        self.caller.send(&call).await?.bytes().await
    }

    /// The receipt of an entry of the log: of a change, a read or a refusal. Needs `audit` on everything. It is read and
    /// not verified.
    ///
    /// # Errors
    /// Those of [`Client::audit_receipt`].
    pub async fn audit_receipt_of_leaf(&self, leaf: LeafIndex) -> Result<Receipt, Error> {
        let leaf = leaf.to_string();
        let call = Call::new(Method::Get, "/v1/_audit/receipt".to_owned()).query(&[("leaf", &leaf)]);
        let body = self.caller.send(&call).await?.bytes().await?;
        self.caller.receipt(&body)
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
        self.caller.receipt(&body)
    }
}
