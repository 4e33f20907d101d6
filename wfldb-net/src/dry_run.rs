//! Asking what a packet would say to another request: the JSON of `POST /v1/_dryrun` and of its answer.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use wfldb_core::auth::{DryRun, Explained, Inquiry, ObjectAttributes, RouteKind, Target, Written};
use wfldb_core::encoding::JsonObject;

use crate::route::{self, Parameters, Route};

/// Largest question, in bytes: a path of 8 KiB, escaped.
pub const QUESTION_BYTES_MAX: usize = 64 * 1024;

/// A question that cannot be read, or that names a request which no route has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a question about a request that a route has")]
pub struct QuestionError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuestionForm {
    method: String,
    target: String,
    object: Option<JsonObject<ObjectForm>>,
    peer: Option<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectForm {
    bytes: u64,
    content_type: Option<String>,
}

/// A question about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    route: Route,
    /// What a copy is made of.
    source: Option<Target>,
    object: Option<ObjectForm>,
    peer: Option<IpAddr>,
}

impl Question {
    /// Reads a question.
    ///
    /// # Errors
    /// [`QuestionError`] for anything but an object with the members of a question, about a method and a target that
    /// would be a request.
    pub fn parse(json: &[u8]) -> Result<Self, QuestionError> {
        let JsonObject(form): JsonObject<QuestionForm> =
            serde_json::from_slice(json).map_err(|_| QuestionError)?;
        let route = route::parse(&form.method, &form.target).map_err(|_| QuestionError)?;
        // By a link the link decides, and not the packet that is asked about.
        if route.kind == RouteKind::ObjectLink {
            return Err(QuestionError);
        }
        let source = match route.parameters().map_err(|_| QuestionError)? {
            Parameters::Copy(copy) => Some(Target::Key(copy.bucket, copy.key)),
            _ => None,
        };
        Ok(Self {
            route,
            source,
            object: form.object.map(|JsonObject(object)| object),
            peer: form.peer,
        })
    }

    /// The question as it is decided.
    pub fn inquiry(&self) -> Inquiry<'_> {
        Inquiry {
            method: self.route.method,
            route: self.route.kind,
            target: self.route.target.clone(),
            source: self.source.clone(),
            written: self.object.as_ref().map_or(Written::Later, |object| {
                Written::Known(ObjectAttributes {
                    content_type: object.content_type.as_deref(),
                    len: object.bytes,
                })
            }),
            peer: self.peer,
        }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DryRunAnswer {
    /// Whether every link allows everything that the request needs.
    pub allowed: bool,
    /// What the request needs, its own access first.
    pub needs: Vec<Need>,
}

/// What the packet says to one access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The operation.
    pub op: String,
    /// The bucket, if the access is to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The key, if the access is to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether every link allows it.
    pub allowed: bool,
    /// The first link that does not, by its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<usize>,
    /// What each link says, from link 0.
    pub links: Vec<LinkAnswer>,
}

/// What one link says to an access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAnswer {
    /// The grant that allows it and is charged, by its place in `cap`; absent where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<usize>,
    /// The member that the grant which fits longest fails at; absent where one allows it, or there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objection: Option<String>,
    /// Limits of the grant that are decided when the request is carried out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<String>,
}

impl From<&DryRun> for DryRunAnswer {
    fn from(run: &DryRun) -> Self {
        Self {
            allowed: run.is_allowed(),
            needs: run.accesses.iter().map(Need::from).collect(),
        }
    }
}

impl From<&Explained> for Need {
    fn from(access: &Explained) -> Self {
        let links = access.links.iter().map(|link| LinkAnswer {
            grant: link.grant,
            objection: link.objection.map(|objection| objection.member().to_owned()),
            undecided: link.undecided.iter().map(|limit| (*limit).to_owned()).collect(),
        });
        Self {
            op: access.op.to_string(),
            bucket: access.target.bucket().map(ToString::to_string),
            key: access.target.key().map(ToString::to_string),
            allowed: access.is_allowed(),
            refused_by: access.refused_by(),
            links: links.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use wfldb_core::name::ObjectKey;

    use super::*;

    /// Defects it catches: a member that is passed over, so that a caller believes it was asked about; an inner request
    /// that no route would take.
    #[test]
    fn a_question_is_read_whole_or_refused() {
        let whole = br#"{"method":"PUT","target":"/v1/photos/a%20b","object":{"bytes":3,"content_type":"a/b"},"peer":"10.0.0.1"}"#;
        let question = Question::parse(whole).unwrap();
        let inquiry = question.inquiry();
        assert_eq!(inquiry.target.key().map(ObjectKey::as_str), Some("a b"));
        let attributes = ObjectAttributes {
            content_type: Some("a/b"),
            len: 3,
        };
        assert_eq!(inquiry.written, Written::Known(attributes));
        assert_eq!(inquiry.peer, "10.0.0.1".parse().ok());
        let copy = br#"{"method":"POST","target":"/v1/photos/a?copy=%2Fdocs%2Fb"}"#;
        let source = Question::parse(copy).unwrap().source.unwrap();
        assert_eq!(source.path(), "/v1/docs/b");
        for text in [
            "",
            "[]",
            "{}",
            r#"["GET","/v1"]"#,
            r#"{"method":"GET"}"#,
            r#"{"method":"GET","target":"/v1","more":1}"#,
            r#"{"method":"GET","target":"/v1","target":"/v1"}"#,
            r#"{"method":"GET","target":"/v1"} x"#,
            r#"{"method":"get","target":"/v1"}"#,
            r#"{"method":"DELETE","target":"/v1"}"#,
            r#"{"method":"GET","target":"/v1/photos/a?limit=1"}"#,
            r#"{"method":"GET","target":"/v1/photos/%61"}"#,
            r#"{"method":"GET","target":"/v1/photos/_find"}"#,
            r#"{"method":"GET","target":"/v1/photos/a?link=x"}"#,
            r#"{"method":"PUT","target":"/v1/photos/a","object":[3]}"#,
            r#"{"method":"PUT","target":"/v1/photos/a","object":{"bytes":-1}}"#,
            r#"{"method":"PUT","target":"/v1/photos/a","object":{"bytes":1,"tags":{}}}"#,
            r#"{"method":"GET","target":"/v1","peer":"here"}"#,
        ] {
            assert_eq!(Question::parse(text.as_bytes()), Err(QuestionError), "{text}");
        }
    }
}
