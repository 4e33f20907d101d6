//! Problems: what every failed request is answered with (RFC 9457), with their JSON form.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use wfldb_core::Kind;

use crate::status;

/// What a problem's `type` begins with; its code follows.
const TYPE_PREFIX: &str = "urn:wfldb:problem:";

/// One failure as the caller sees it. Holds no path, key, secret or library's message.
///
/// ```
/// use wfldb_core::Kind;
/// use wfldb_net::problem::Problem;
///
/// let problem = Problem::new(Kind::NotFound, "NoSuchKey", "there is no such key", "00ff");
/// assert_eq!(problem.status, 404);
/// assert_eq!(problem.type_uri(), "urn:wfldb:problem:NoSuchKey");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// A stable word that programs may compare.
    pub code: Cow<'static, str>,
    /// What the kind of problem is.
    #[serde(default)]
    pub title: Cow<'static, str>,
    /// What happened this time, for people.
    #[serde(default)]
    pub detail: Cow<'static, str>,
    /// Names the request in the server's log.
    #[serde(default)]
    pub request_id: Cow<'static, str>,
    /// A word that says what to try, where one is known.
    #[serde(default)]
    pub hint: Option<Cow<'static, str>>,
    /// Of a batch: the entry that was refused, from 0.
    #[serde(default)]
    pub entry: Option<u32>,
    /// Where in the JSON that was sent the fault is (RFC 6901); of a batch, in the entry's document.
    #[serde(default)]
    pub pointer: Option<Cow<'static, str>>,
}

impl Problem {
    /// A problem of a kind, which gives status and title.
    pub fn new(
        kind: Kind,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
        request_id: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status: status::status(kind),
            code: code.into(),
            title: status::title(kind).into(),
            detail: detail.into(),
            request_id: request_id.into(),
            hint: None,
            entry: None,
            pointer: None,
        }
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The `type` member.
    pub fn type_uri(&self) -> String {
        format!("{TYPE_PREFIX}{}", self.code)
    }

    /// The kind by the status; `None` when the status is not one that the protocol has.
    pub fn kind(&self) -> Option<Kind> {
        status::kind(self.status)
    }
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members<'a> {
            #[serde(rename = "type")]
            type_uri: String,
            title: &'a str,
            status: u16,
            code: &'a str,
            detail: &'a str,
            request_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            hint: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            entry: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            pointer: Option<&'a str>,
        }
        let members = Members {
            type_uri: self.type_uri(),
            title: &self.title,
            status: self.status,
            code: &self.code,
            detail: &self.detail,
            request_id: &self.request_id,
            hint: self.hint.as_deref(),
            entry: self.entry,
            pointer: self.pointer.as_deref(),
        };
        members.serialize(serializer)
    }
}
