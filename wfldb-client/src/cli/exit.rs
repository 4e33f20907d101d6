//! How a command ends: the exit code, and what is said about a failure: one line what, one line what to do.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;
use wfldb_client::{ApiError, Error, TlsFailure};

use super::output::shown;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    NotFound = 4,
    Conflict = 5,
    Unavailable = 6,
    Unknown = 7,
    Untrusted = 8,
}

/// What `--help` says about them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed in a way not listed below, or some of several items failed
  2  wrong usage, or no usable profile
  3  refused: the server does not know this key (401) or the packet does not allow it (403)
  4  not found (404, 410)
  5  a precondition does not hold, or a conflict (409, 412)
  6  the server cannot be reached, or is unavailable or full (429, 503, 507)
  7  outcome unknown: a write was sent and its answer never came; read back before trying again
  8  no TLS connection: server and client do not trust each other, or one of them does not speak TLS; or the server signs
     with another key than the profile names";

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The SDK's.
    Client(Error),
    /// The arguments do not make sense together.
    Usage(String),
    /// Standard output cannot be written.
    Output(std::io::Error),
    /// Already reported item by item; only the code is left.
    Reported(Code),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

/// The exit code of one error.
pub(crate) fn code_of(error: &Error) -> Code {
    match error {
        Error::Api(api) => match api.status {
            401 | 403 => Code::Refused,
            404 | 410 => Code::NotFound,
            409 | 412 => Code::Conflict,
            429 | 503 | 507 => Code::Unavailable,
            _ => Code::Failed,
        },
        Error::Transport(_) => Code::Unavailable,
        Error::Tls { .. } | Error::OtherNode { .. } => Code::Untrusted,
        Error::Widening(_) => Code::Refused,
        Error::OutcomeUnknown(_) => Code::Unknown,
        _ => Code::Failed,
    }
}

impl Failure {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Client(error) => code_of(error),
            Self::Usage(_) => Code::Usage,
            // Whoever reads us has seen enough: `wfldb scan … | head` is not a failure.
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Code::Ok,
            Self::Output(_) => Code::Failed,
            Self::Reported(code) => *code,
        }
    }

    /// What goes to standard error; `None` when there is nothing more to say.
    pub(crate) fn message(&self, as_json: bool) -> Option<String> {
        match self {
            Self::Client(error) => Some(describe(error, as_json)),
            Self::Usage(why) if as_json => {
                Some(json!({"error": {"message": why, "exit": Code::Usage as u8}}).to_string())
            }
            Self::Usage(why) => Some(format!("wfldb: {why}\n  see `wfldb --help`")),
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => None,
            Self::Output(error) => Some(format!("wfldb: cannot write to standard output: {error}")),
            Self::Reported(_) => None,
        }
    }
}

/// Two lines for people, or one JSON object.
pub(crate) fn describe(error: &Error, as_json: bool) -> String {
    if as_json {
        return json!({"error": error_json(error)}).to_string();
    }
    let mut text = format!("wfldb: {}", sentence(error));
    if let Some(advice) = advice(error) {
        let _ = write!(text, "\n  {advice}");
    }
    text
}

/// A refusal of one entry of a batch: which one, then as [`describe`].
pub(crate) fn describe_entry(error: &Error, key: &str, as_json: bool) -> String {
    if as_json {
        let mut error = error_json(error);
        if let Some(members) = error.as_object_mut() {
            members.insert("key".to_owned(), json!(key));
        }
        return json!({"error": error}).to_string();
    }
    let number = error.refused_entry().unwrap_or_default();
    let key = shown(key);
    let sentence = sentence(error);
    format!(
        "wfldb: nothing was changed, because of key {key}, entry {number} (counted from 0):\n  {sentence}"
    )
}

/// One line: what went wrong.
pub(crate) fn sentence(error: &Error) -> String {
    match error {
        Error::Api(api) => {
            let mut text = format!("{} ({}", shown(&api.detail), api.status);
            if !api.code.is_empty() {
                text.push(' ');
                text.push_str(&shown(&api.code));
            }
            for (label, value) in [(", hint ", &api.hint), (", request ", &api.request_id)] {
                if let Some(value) = value {
                    text.push_str(label);
                    text.push_str(&shown(value));
                }
            }
            text.push(')');
            text
        }
        other => shown(&other.to_string()).into_owned(),
    }
}

/// The same for programs.
pub(crate) fn error_json(error: &Error) -> serde_json::Value {
    let exit = code_of(error) as u8;
    match error {
        Error::Api(api) => {
            let ApiError {
                status,
                code,
                hint,
                request_id,
                detail,
                entry,
            } = &**api;
            let mut value = json!({"status": status, "code": code, "hint": hint, "request_id": request_id,
                "message": detail, "exit": exit});
            if let Some((entry, members)) = entry.zip(value.as_object_mut()) {
                members.insert("entry".to_owned(), json!(entry));
            }
            value
        }
        Error::Tls { failure, .. } => {
            json!({"message": error.to_string(), "tls": failure.code(), "exit": exit})
        }
        other => json!({"message": other.to_string(), "exit": exit}),
    }
}

/// One line: what to do about it.
fn advice(error: &Error) -> Option<&'static str> {
    let advice = match error {
        Error::Transport(_) => "Is the server running, and is the `url` of the profile right?",
        Error::Tls { failure, .. } => return tls_advice(failure),
        Error::OutcomeUnknown(_) => "Look with `wfldb stat` whether it happened before you try again.",
        Error::Corrupt(_) => "Try again; if it stays, tell the server's operator.",
        Error::Api(api) => match (api.status, api.code.as_str(), api.hint.as_deref()) {
            (401, _, Some("Expired")) => {
                "The packet of this profile has expired: ask its issuer, or see `wfldb-admin renew`."
            }
            (401, _, Some("ClockSkew")) => "This machine's clock differs too much from the server's: set it.",
            (401, ..) => "The server does not accept this profile: is it for this server and realm?",
            (403, ..) => "The packet of this profile does not allow this: ask whoever issued it.",
            (404, "NoSuchBucket", _) => "`wfldb ls` shows the buckets; `wfldb mb NAME` makes one.",
            (404, ..) => "`wfldb ls BUCKET` shows what is there; `wfldb versions` what was.",
            (409, "BucketNotEmpty", _) => "`wfldb rb --force` deletes a bucket with all that is in it.",
            (412, ..) => "It has changed meanwhile: read it again and decide anew.",
            (413, ..) => "It is larger than this bucket or packet allows.",
            (429 | 503, ..) => "The server is busy or starting: try again in a while.",
            (507, ..) => "The server's disk is full: call its operator.",
            (500..=599, ..) => "Tell the server's operator the request id.",
            _ => return None,
        },
        _ => return None,
    };
    Some(advice)
}

fn tls_advice(failure: &TlsFailure) -> Option<&'static str> {
    let advice = match failure {
        TlsFailure::Untrusted | TlsFailure::NoAuthorities => {
            "If it is the right server, give the certificate of its authority with --tls-ca FILE."
        }
        TlsFailure::Expired | TlsFailure::NotYetValid => {
            "Is this machine's clock right? If so, its operator has to renew the certificate."
        }
        TlsFailure::WrongName => "Is the `url` of the profile right? The certificate is for another name.",
        TlsFailure::PinMismatch { .. } => {
            "Ask its operator whether the key was changed; do not trust it before that."
        }
        TlsFailure::CertificateRequired => "Give one with --tls-client-cert and --tls-client-key.",
        TlsFailure::NotTls | TlsFailure::SpeaksTls => "Correct the `url` of the profile.",
        _ => return None,
    };
    Some(advice)
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}
