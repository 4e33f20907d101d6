//! Refusals as they are read: leniently, because a proxy between us and the server may answer in its place.

use serde::Deserialize;
use wfldb_net::accept::FLATBUFFERS;
use wfldb_net::codec::decode_problem;

/// The members that a client looks at.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) title: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) entry: Option<u32>,
}

/// Reads the body of a refusal; what is no problem has no members.
pub(crate) fn read(content_type: Option<&str>, body: &[u8]) -> Problem {
    if content_type != Some(FLATBUFFERS) {
        return serde_json::from_slice(body).unwrap_or_default();
    }
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    decode_problem(body).map_or_else(
        |_| Problem::default(),
        |problem| Problem {
            title: text(&problem.title),
            code: text(&problem.code),
            detail: text(&problem.detail),
            request_id: text(&problem.request_id),
            hint: problem.hint.as_deref().and_then(text),
            entry: problem.entry,
        },
    )
}

#[cfg(test)]
mod tests {
    use wfldb_core::Kind;
    use wfldb_net::codec::encode_problem;

    use super::*;

    #[test]
    fn a_refusal_says_the_same_in_both_forms_and_nothing_in_another() {
        let mut sent = wfldb_net::problem::Problem::new(Kind::Precondition, "PreconditionFailed", "no", "r1");
        sent.entry = Some(7);
        let json = read(
            Some("application/problem+json"),
            &serde_json::to_vec(&sent).unwrap(),
        );
        assert_eq!(json, read(Some(FLATBUFFERS), &encode_problem(&sent)));
        assert_eq!(
            (json.code.as_deref(), json.entry),
            (Some("PreconditionFailed"), Some(7))
        );
        assert_eq!(read(Some(FLATBUFFERS), b"<html>"), Problem::default());
        assert_eq!(read(Some("text/html"), b"<html>"), Problem::default());
        assert_eq!(read(None, b""), Problem::default());
    }
}
