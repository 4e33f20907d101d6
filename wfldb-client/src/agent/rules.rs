//! Which requests an agent signs. Pure: a head in, what to send or why not out.
//!
//! SECURITY: the agent is a deputy that others would like to confuse. A browser on this machine can send requests to a
//! port of it, and a page can have it do so; what a browser sends has marks that pages cannot take off (`origin`,
//! `sec-fetch-*`), and a page that rebinds its own name to this machine sends that name as `host`. So marks are refused,
//! names that are not ours are refused, and on a port there is a secret besides. What changes a request is signed as it
//! came; what is not understood is refused or left out, never passed on unsigned.

use http::header::HeaderMap;
use http::request::Parts;
use http::{StatusCode, Version};
use wfldb_core::auth::{Method, RouteKind};
use wfldb_core::object::is_header_text;
use wfldb_core::request::header as ours;
use wfldb_net::framing::Verdict;
use wfldb_net::route::{self, RouteError};
use zeroize::Zeroizing;

/// The header that the secret of this run stands in.
pub(super) const TOKEN_HEADER: &str = "x-wfldb-agent-token";

/// Headers that no honest command-line client of an agent sends, with why not.
const REFUSED: [(&str, &str); 11] = [
    ("origin", "comes from a web page"),
    ("referer", "comes from a web page"),
    ("cookie", "comes from a browser"),
    ("authorization", "the agent is what authorizes"),
    ("proxy-authorization", "the agent is no proxy"),
    ("proxy-connection", "the agent is no proxy"),
    ("content-encoding", "bodies are stored as they are sent"),
    ("upgrade", "nothing is upgraded"),
    ("te", "trailers are not passed on"),
    ("trailer", "trailers are not passed on"),
    ("keep-alive", "each connection is for one request"),
];
/// Beginnings of names that only browsers send.
const REFUSED_PREFIXES: [&str; 2] = ["sec-fetch-", "access-control-"];
/// Headers beside `x-wfldb-*` that are signed and passed on.
const SIGNED: [&str; 11] = [
    "accept",
    "cache-control",
    "content-type",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "range",
];

/// Who is let in.
#[derive(Debug)]
pub(super) struct Door {
    /// What `host` may say, exactly.
    pub(super) hosts: Vec<String>,
    /// The secret of this run, where a port is listened on.
    pub(super) token: Option<Zeroizing<String>>,
}

/// A request that is to be signed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    /// Signed and sent.
    pub(super) headers: Vec<(String, String)>,
    /// The length of the body as it was announced.
    pub(super) announced: Option<u64>,
}

/// Why a request is not signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { status, why }
    }
}

fn bad(why: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, why)
}

fn forbidden(why: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, why)
}

/// Decides on one request. `verdict` is what the guard saw of the head; `None` when it lost track.
pub(super) fn decide(door: &Door, head: &Parts, verdict: Option<Verdict>) -> Result<Wanted, Refusal> {
    let verdict = verdict.ok_or_else(|| bad("the head cannot be followed"))?;
    // ORDER: who asks comes before what is asked, so that a page learns nothing from how it is refused.
    let_in(door, &head.headers)?;
    if head.version != Version::HTTP_11 {
        return Err(bad("only HTTP/1.1 is spoken here"));
    }
    if verdict.two_lengths {
        return Err(bad("content-length and transfer-encoding cannot stand together"));
    }
    if verdict.fragment || head.uri.scheme().is_some() || head.uri.authority().is_some() {
        return Err(bad(
            "the target is a path that begins with /, without a host or `#`",
        ));
    }
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let route = route::parse(head.method.as_str(), target).map_err(|error| of_route(&error))?;
    match route.kind {
        // A session would be the caller's own: they could go on with it after the agent has gone.
        RouteKind::Session => return Err(forbidden("the agent opens no sessions")),
        RouteKind::ObjectLink => return Err(bad("a link needs no agent")),
        _ => {}
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Wanted {
        method: route.method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: passed_on(&head.headers)?,
        announced: announced(&head.headers)?,
    })
}

fn let_in(door: &Door, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = one(headers, "host")?.unwrap_or_default();
    if !door.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
        return Err(forbidden("`host` is not the agent's own name"));
    }
    for (name, why) in REFUSED {
        if headers.contains_key(name) {
            return Err(forbidden(format!("`{name}`: {why}")));
        }
    }
    for name in headers.keys() {
        if REFUSED_PREFIXES
            .iter()
            .any(|begins| name.as_str().starts_with(begins))
        {
            return Err(forbidden(format!("`{name}`: comes from a browser")));
        }
    }
    let Some(expected) = &door.token else {
        return Ok(());
    };
    let given = one(headers, TOKEN_HEADER)?.unwrap_or_default();
    // Hashes are compared in constant time, so how much of a guess was right does not show.
    if blake3::hash(given.as_bytes()) == blake3::hash(expected.as_bytes()) {
        Ok(())
    } else {
        Err(forbidden(format!(
            "`{TOKEN_HEADER}` is missing or not this run's"
        )))
    }
}

fn of_route(error: &RouteError) -> Refusal {
    let status = match error {
        RouteError::NoSuchRoute => StatusCode::NOT_FOUND,
        RouteError::Method(_) | RouteError::NotSupportedYet => StatusCode::METHOD_NOT_ALLOWED,
        RouteError::TooLong => StatusCode::URI_TOO_LONG,
        RouteError::NotCanonical | RouteError::Name(_) | RouteError::BadParameter(_) => {
            StatusCode::BAD_REQUEST
        }
    };
    let advice = match error {
        RouteError::NotCanonical => " (curl: --path-as-is, and encode all but A-Za-z0-9-._~/ as %XX)",
        _ => "",
    };
    Refusal::new(status, format!("{error}{advice}"))
}

/// The headers that are signed and passed on. Each occurs once, in the one form that can be signed.
fn passed_on(headers: &HeaderMap) -> Result<Vec<(String, String)>, Refusal> {
    if let Some(connection) = one(headers, "connection")? {
        // A name here would be one that the next hop has to drop, whatever it says.
        if !connection.eq_ignore_ascii_case("close") && !connection.eq_ignore_ascii_case("keep-alive") {
            return Err(bad("`connection` is `close` or `keep-alive`"));
        }
    }
    let mut kept = Vec::new();
    for name in headers.keys().map(http::HeaderName::as_str) {
        let own = name.starts_with("x-wfldb-") && name != TOKEN_HEADER;
        if own && ours::ALL.contains(&name) {
            return Err(forbidden(format!("`{name}`: the agent is what signs")));
        }
        if !own && !SIGNED.contains(&name) {
            continue;
        }
        let value = one(headers, name)?.unwrap_or_default();
        if !is_header_text(value.as_bytes()) {
            return Err(bad(format!(
                "`{name}` cannot be signed: visible ASCII and single spaces only"
            )));
        }
        kept.push((name.to_owned(), value.to_owned()));
    }
    kept.sort_unstable();
    Ok(kept)
}

fn announced(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let announced = one(headers, "content-length")?;
    announced
        .map(|text| text.parse().map_err(|_| bad("`content-length` is no length")))
        .transpose()
}

/// The one value of a header.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(bad(format!("`{name}` stands there twice")));
    }
    first
        .map(|value| value.to_str().map_err(|_| bad(format!("`{name}` is no text"))))
        .transpose()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn door() -> Door {
        Door {
            hosts: vec!["127.0.0.1:4000".to_owned(), "localhost:4000".to_owned()],
            token: Some(Zeroizing::new("secret".to_owned())),
        }
    }

    const OURS: [(&str, &str); 2] = [("host", "localhost:4000"), (TOKEN_HEADER, "secret")];

    fn ask(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Wanted, Refusal> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        decide(&door(), &head, Some(Verdict::default()))
    }

    fn with(more: &[(&str, &str)]) -> Result<Wanted, Refusal> {
        let headers = [&OURS, more].concat();
        ask("PUT", "/v1/photos/a%20b", &headers)
    }

    #[test]
    fn what_changes_a_request_is_signed_and_nothing_else_is_passed_on() {
        let wanted = with(&[
            ("content-type", "text/plain"),
            ("x-wfldb-tags", "a=b"),
            ("if-none-match", "*"),
            ("user-agent", "curl/8"),
            ("accept", "*/*"),
            ("accept-encoding", "gzip"),
            ("content-length", "3"),
            ("expect", "100-continue"),
        ]);
        let wanted = wanted.unwrap();
        let names: Vec<&str> = wanted.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["accept", "content-type", "if-none-match", "x-wfldb-tags"]);
        assert_eq!(
            (wanted.path.as_str(), wanted.announced),
            ("/v1/photos/a%20b", Some(3))
        );
    }

    /// Defects it catches: a page that acts through the agent, directly or after it rebound its name; a guess at the
    /// secret; a caller that brings credentials of its own into a request that the agent signs.
    #[test]
    fn browsers_strangers_and_other_names_are_refused() {
        for more in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "none"),
            ("sec-fetch-mode", "navigate"),
            ("referer", "http://evil.example/"),
            ("cookie", "a=b"),
            ("access-control-request-method", "PUT"),
            ("authorization", "Bearer x"),
            ("proxy-authorization", "Basic x"),
            ("x-wfldb-signature", "x"),
            ("x-wfldb-nonce", "x"),
            ("x-wfldb-timestamp", "x"),
            ("x-wfldb-content", "none 0 -"),
            ("x-wfldb-signed-headers", ""),
            ("upgrade", "h2c"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("content-encoding", "gzip"),
        ] {
            let refused = with(&[more]).unwrap_err();
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{more:?} {refused:?}");
        }
        for headers in [
            vec![],
            vec![OURS[0]],
            vec![OURS[1]],
            vec![OURS[0], (TOKEN_HEADER, "")],
            vec![OURS[0], (TOKEN_HEADER, "secre")],
            vec![OURS[0], (TOKEN_HEADER, "secrett")],
            vec![("host", "evil.example:4000"), OURS[1]],
            vec![("host", "localhost"), OURS[1]],
            vec![("host", "localhost:4001"), OURS[1]],
            vec![("host", "localhost:4000.evil.example"), OURS[1]],
        ] {
            let refused = ask("GET", "/v1/photos/a", &headers).unwrap_err();
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{headers:?}");
        }
    }

    /// Defects it catches: a second value that is not looked at; a name in `connection`; two readings of where a body
    /// ends; a path that is put right instead of refused; a session that outlives the agent.
    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for more in [
            [("host", "localhost:4000")].as_slice(),
            &[(TOKEN_HEADER, "secret")],
            &[("range", "bytes=0-1"), ("range", "bytes=2-3")],
            &[("x-wfldb-tags", "a=b"), ("x-wfldb-tags", "c=d")],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "-1")],
            &[("connection", "x-wfldb-tags")],
            &[("connection", "close, range")],
            &[("content-type", "a  b")],
        ] {
            assert_eq!(
                with(more).unwrap_err().status,
                StatusCode::BAD_REQUEST,
                "{more:?}"
            );
        }
        for (method, target, status) in [
            ("GET", "http://localhost:4000/v1/photos/a", 400),
            ("GET", "/v1/photos/%61", 400),
            ("GET", "/v1/photos/a%2fb", 400),
            ("GET", "/v1/photos/../x/a", 400),
            ("GET", "/v1/photos/", 400),
            ("GET", "/v1/photos/a?b", 400),
            ("GET", "/v1/photos/a?link=x", 400),
            ("GET", "/readyz", 404),
            ("OPTIONS", "/v1/photos/a", 405),
            ("TRACE", "/v1/photos/a", 405),
            ("POST", "/v1/_session", 403),
        ] {
            let refused = ask(method, target, &OURS).unwrap_err();
            assert_eq!(refused.status.as_u16(), status, "{method} {target} {refused:?}");
        }
        let request = Request::get("/v1")
            .header("host", OURS[0].1)
            .header(TOKEN_HEADER, "secret");
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert!(decide(&door(), &head, Some(Verdict::default())).is_ok());
        for verdict in [
            None,
            Some(Verdict {
                two_lengths: true,
                ..Verdict::default()
            }),
            Some(Verdict {
                fragment: true,
                ..Verdict::default()
            }),
        ] {
            assert!(decide(&door(), &head, verdict).is_err(), "{verdict:?}");
        }
    }
}
