//! Asking the server what this client's packet says to a request, without making it.

use std::net::IpAddr;

use serde_json::json;
use wfldb_core::auth::Method;
use wfldb_net::dry_run::DryRunAnswer;

use crate::bucket::parse;
use crate::call::Call;
use crate::outgoing::Source;
use crate::retry::Safety;
use crate::{Client, Error};

/// A request that is only asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRunQuestion {
    /// Its method.
    pub method: Method,
    /// Path and query as they would be sent, `/v1/photos/a%20b`.
    pub target: String,
    /// Length and content type of what it would write; without it, limits on them are not looked at.
    pub object: Option<(u64, Option<String>)>,
    /// Where it would come from; `None`: from here.
    pub peer: Option<IpAddr>,
}

impl Client {
    /// What the packet says to another request: allowed or not, and which grant of which link decides.
    ///
    /// # Errors
    /// `Api` (403 when the packet has no grant at all, 400 when no route takes such a request), `Transport`.
    pub async fn dry_run(&self, question: &DryRunQuestion) -> Result<DryRunAnswer, Error> {
        let mut body = json!({"method": question.method.as_str(), "target": question.target});
        if let Some(members) = body.as_object_mut() {
            if let Some((bytes, content_type)) = &question.object {
                members.insert(
                    "object".to_owned(),
                    json!({"bytes": bytes, "content_type": content_type}),
                );
            }
            if let Some(peer) = &question.peer {
                members.insert("peer".to_owned(), json!(peer));
            }
        }
        let mut call = Call::new(Method::Post, "/v1/_dryrun".to_owned());
        call.headers
            .push(("content-type".to_owned(), "application/json".to_owned()));
        call.source = Source::of_bytes(body.to_string().into());
        // Nothing is written, whoever asks.
        call.safety = Safety::Idempotent;
        parse(&self.caller.send(&call).await?.bytes().await?)
    }
}
