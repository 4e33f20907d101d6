//! What stands beside the bytes of an object, read back.

use crate::doc::{Object, Value};
use crate::object::{ObjectError, ObjectHeaders, Tags};

/// What is kept with an object, of what is said of it.
///
/// # Errors
/// When it cannot be kept.
pub fn headers_of(said: &Object) -> Result<ObjectHeaders, ObjectError> {
    let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
    let members = |name: &str| {
        let members = said.get(name).and_then(Value::as_object).into_iter().flatten();
        members.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
    };
    let mut pairs = Vec::new();
    for (name, header) in [
        ("content_type", "content-type"),
        ("cache_control", "cache-control"),
        ("expires", "expires"),
    ] {
        pairs.extend(text(name).map(|text| (header.to_owned(), text)));
    }
    let ttl = said.get("ttl_seconds").and_then(Value::as_u64);
    pairs.extend(ttl.map(|ttl| ("x-wfldb-ttl".to_owned(), ttl.to_string())));
    pairs.extend(members("meta").map(|(name, value)| (format!("x-wfldb-meta-{name}"), value)));
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers = ObjectHeaders::parse(pairs)?;
    headers.tags = Tags::from_pairs(members("tags"))?;
    Ok(headers)
}
