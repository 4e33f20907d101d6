//! Content negotiation: JSON unless the caller prefers FlatBuffers, or lines of JSON where an answer is rows.

/// Content type of JSON answers.
pub const JSON: &str = "application/json";
/// Content type of JSON errors (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";
/// Content type of answers by `schemas/wire.fbs`.
pub const FLATBUFFERS: &str = "application/vnd.wfldb.v1+flatbuffers";

/// Content type of rows as lines of JSON.
pub const JSON_LINES: &str = "application/x-ndjson";

/// The form in which a listing or an error is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Representation {
    /// `application/json`, errors as `application/problem+json`.
    #[default]
    Json,
    /// `application/x-ndjson`, of an answer that is rows; all others, and errors, as [`Self::Json`].
    JsonLines,
    /// `application/vnd.wfldb.v1+flatbuffers`.
    FlatBuffers,
}

/// The caller accepts none of our forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("none of the accepted media types is served")]
pub struct NotAcceptable;

/// Chooses a form from the values of the `accept` fields (RFC 9110 §12.5.1): the highest `q` wins, JSON at equal
/// `q`; no field at all accepts everything. Elements that cannot be parsed accept nothing.
///
/// # Errors
/// [`NotAcceptable`] when every form of ours has `q=0` or is not mentioned.
pub fn negotiate<'a>(accept: impl IntoIterator<Item = &'a str>) -> Result<Representation, NotAcceptable> {
    let mut json = Quality::default();
    let mut lines = Quality::default();
    let mut flatbuffers = Quality::default();
    let mut any_field = false;
    for element in accept
        .into_iter()
        .inspect(|_| any_field = true)
        .flat_map(|value| value.split(','))
    {
        let mut parts = element.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let Some(q) = quality(parts) else { continue };
        let range = range.to_ascii_lowercase();
        match range.as_str() {
            "*/*" => {
                json.offer(1, q);
                flatbuffers.offer(1, q);
            }
            "application/*" => {
                json.offer(2, q);
                flatbuffers.offer(2, q);
            }
            // A caller that can read problems can read our JSON; it names them so that errors are not 406.
            JSON | PROBLEM_JSON => json.offer(3, q),
            JSON_LINES => lines.offer(3, q),
            FLATBUFFERS => flatbuffers.offer(3, q),
            _ => {}
        }
    }
    if !any_field {
        return Ok(Representation::Json);
    }
    match (json.q, lines.q, flatbuffers.q) {
        (0, 0, 0) => Err(NotAcceptable),
        (json, lines, flatbuffers) if lines > json.max(flatbuffers) => Ok(Representation::JsonLines),
        (json, _, flatbuffers) if flatbuffers > json => Ok(Representation::FlatBuffers),
        _ => Ok(Representation::Json),
    }
}

/// Quality in thousandths by the most specific range that matched.
#[derive(Default)]
struct Quality {
    specificity: u8,
    q: u16,
}

impl Quality {
    fn offer(&mut self, specificity: u8, q: u16) {
        if specificity > self.specificity || (specificity == self.specificity && q > self.q) {
            self.specificity = specificity;
            self.q = q;
        }
    }
}

fn quality<'a>(parameters: impl Iterator<Item = &'a str>) -> Option<u16> {
    for parameter in parameters {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        if name.trim().eq_ignore_ascii_case("q") {
            return thousandths(value.trim());
        }
    }
    Some(1000)
}

/// RFC 9110 §12.4.2: `0` or `1` with at most three digits behind a point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut value: u16 = match whole {
        "0" => 0,
        "1" => 1,
        _ => return None,
    };
    let mut digits = fraction.bytes();
    for _ in 0..3 {
        value = value * 10 + digits.next().map_or(0, |digit| u16::from(digit - b'0'));
    }
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_decides_and_json_wins_ties() {
        for (accept, want) in [
            ("", Err(NotAcceptable)),
            ("*/*", Ok(Representation::Json)),
            ("application/json", Ok(Representation::Json)),
            ("text/html, application/*;q=0.1", Ok(Representation::Json)),
            (FLATBUFFERS, Ok(Representation::FlatBuffers)),
            (
                "application/vnd.wfldb.v1+flatbuffers, application/json",
                Ok(Representation::Json),
            ),
            (
                "application/json;q=0.5, application/vnd.wfldb.v1+flatbuffers;q=0.6",
                Ok(Representation::FlatBuffers),
            ),
            ("*/*, application/json;q=0", Ok(Representation::FlatBuffers)),
            ("application/json;q=0", Err(NotAcceptable)),
            ("application/json;q=2", Err(NotAcceptable)),
            ("application/json; q=0.0001", Err(NotAcceptable)),
            (
                "APPLICATION/JSON; charset=utf-8; Q=1.000",
                Ok(Representation::Json),
            ),
            ("application/x-ndjson", Ok(Representation::JsonLines)),
            (
                "application/x-ndjson, application/problem+json;q=0.9",
                Ok(Representation::JsonLines),
            ),
            ("application/x-ndjson, application/json", Ok(Representation::Json)),
            ("image/png", Err(NotAcceptable)),
            (";;,,=;q", Err(NotAcceptable)),
        ] {
            assert_eq!(negotiate([accept]), want, "{accept:?}");
        }
        assert_eq!(negotiate([]), Ok(Representation::Json));
        assert_eq!(
            negotiate(["image/png", FLATBUFFERS]),
            Ok(Representation::FlatBuffers)
        );
    }
}
