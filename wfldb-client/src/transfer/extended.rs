//! Between BSON and JSON. What JSON lacks stands in it as `MongoDB`'s extended JSON (v2, the relaxed form: numbers are plain
//! where JSON has them exactly):
//!
//! | BSON | JSON |
//! |---|---|
//! | int32, int64 up to 2^53 − 1, finite double | a number; a whole one comes back as int32 or int64 |
//! | int64 beyond | `{"$numberLong":"…"}` |
//! | double that is no number | `{"$numberDouble":"NaN"}`, `Infinity`, `-Infinity` |
//! | decimal128 | `{"$numberDecimal":"…"}` |
//! | object id | `{"$oid":"24 hex digits"}` |
//! | date | `{"$date":"2026-01-02T03:04:05.006Z"}`; outside the years 1970 to 9999 `{"$date":{"$numberLong":"…"}}` |
//! | binary | `{"$binary":{"base64":"…","subType":"00"}}` |
//! | timestamp, regular expression | `{"$timestamp":{"t":1,"i":2}}`, `{"$regularExpression":{"pattern":"…","options":"…"}}` |
//! | code, symbol | `{"$code":"…"}`, `{"$symbol":"…"}` |
//! | undefined, min key, max key | `{"$undefined":true}`, `{"$minKey":1}`, `{"$maxKey":1}` |
//!
//! `DBPointer` and code with a scope, which `MongoDB` has given up, are refused.

use bson::oid::ObjectId;
use bson::raw::{CString, RawArray, RawBsonRef, RawDocument};
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, Document, Regex, Timestamp};
use serde_json::{Number, Value, json};
use wfldb_core::doc::Object;
use wfldb_core::encoding::base64;
use wfldb_core::limits::{JSON_DEPTH_MAX, JSON_INTEGER_MAX};
use wfldb_core::time::UnixMillis;

/// What a BSON document holds that a document of ours cannot.
#[derive(Debug, thiserror::Error)]
pub(super) enum BsonError {
    #[error("not BSON: {0}")]
    Malformed(#[from] bson::error::Error),
    #[error("it is nested deeper than {JSON_DEPTH_MAX}")]
    TooDeep,
    #[error("member `{0}` occurs twice")]
    Repeated(String),
    #[error("{0} is not taken")]
    Unsupported(&'static str),
}

pub(super) fn from_bson(raw: &RawDocument) -> Result<Object, BsonError> {
    object(raw, 1)
}

fn object(raw: &RawDocument, depth: usize) -> Result<Object, BsonError> {
    if depth > JSON_DEPTH_MAX {
        return Err(BsonError::TooDeep);
    }
    let mut members = Object::new();
    for member in raw {
        let (name, member) = member?;
        let name = name.as_str();
        if members.insert(name.to_owned(), value(member, depth)?).is_some() {
            return Err(BsonError::Repeated(name.to_owned()));
        }
    }
    Ok(members)
}

fn array(raw: &RawArray, depth: usize) -> Result<Value, BsonError> {
    if depth > JSON_DEPTH_MAX {
        return Err(BsonError::TooDeep);
    }
    let elements = raw.into_iter().map(|element| value(element?, depth));
    elements.collect::<Result<_, _>>().map(Value::Array)
}

fn value(raw: RawBsonRef<'_>, depth: usize) -> Result<Value, BsonError> {
    Ok(match raw {
        RawBsonRef::Double(number) => double(number),
        RawBsonRef::String(text) => text.into(),
        RawBsonRef::Array(elements) => array(elements, depth + 1)?,
        RawBsonRef::Document(members) => Value::Object(object(members, depth + 1)?),
        RawBsonRef::Boolean(truth) => truth.into(),
        RawBsonRef::Null => Value::Null,
        RawBsonRef::Int32(number) => number.into(),
        RawBsonRef::Int64(number) if number.unsigned_abs() <= JSON_INTEGER_MAX => number.into(),
        RawBsonRef::Int64(number) => json!({"$numberLong": number.to_string()}),
        RawBsonRef::Decimal128(number) => json!({"$numberDecimal": number.to_string()}),
        RawBsonRef::ObjectId(id) => json!({"$oid": id.to_hex()}),
        RawBsonRef::DateTime(time) => date(time),
        RawBsonRef::Binary(binary) => {
            let sub_type = format!("{:02x}", u8::from(binary.subtype));
            json!({"$binary": {"base64": base64::encode(binary.bytes), "subType": sub_type}})
        }
        RawBsonRef::Timestamp(time) => json!({"$timestamp": {"t": time.time, "i": time.increment}}),
        RawBsonRef::RegularExpression(regex) => {
            let (pattern, options) = (regex.pattern.as_str(), regex.options.as_str());
            json!({"$regularExpression": {"pattern": pattern, "options": options}})
        }
        RawBsonRef::JavaScriptCode(code) => json!({"$code": code}),
        RawBsonRef::Symbol(text) => json!({"$symbol": text}),
        RawBsonRef::Undefined => json!({"$undefined": true}),
        RawBsonRef::MinKey => json!({"$minKey": 1}),
        RawBsonRef::MaxKey => json!({"$maxKey": 1}),
        RawBsonRef::JavaScriptCodeWithScope(_) => return Err(BsonError::Unsupported("code with a scope")),
        RawBsonRef::DbPointer(_) => return Err(BsonError::Unsupported("a DBPointer")),
    })
}

/// A whole number is one in JSON too, however it was stored.
fn double(number: f64) -> Value {
    if !number.is_finite() {
        let text = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        return json!({ "$numberDouble": text });
    }
    let whole = format!("{number:.0}").parse::<i64>().ok();
    let whole = whole.filter(|whole| number.fract() == 0.0 && whole.unsigned_abs() <= JSON_INTEGER_MAX);
    match whole {
        Some(whole) => whole.into(),
        None => Number::from_f64(number).map_or(Value::Null, Value::Number),
    }
}

fn date(time: DateTime) -> Value {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    let millis = time.timestamp_millis();
    match u64::try_from(millis) {
        Ok(within) if within < YEAR_10000_MS => {
            let text = UnixMillis::new(within).to_string();
            // Extended JSON leaves milliseconds out where there are none.
            let text = text
                .strip_suffix(".000Z")
                .map(|text| format!("{text}Z"))
                .unwrap_or(text);
            json!({ "$date": text })
        }
        _ => json!({"$date": {"$numberLong": millis.to_string()}}),
    }
}

pub(super) fn to_bson(members: &Object) -> Document {
    members
        .iter()
        .map(|(name, member)| (name.clone(), bson(member)))
        .collect()
}

fn bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(truth) => Bson::Boolean(*truth),
        Value::Number(number) => number_to_bson(number),
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(elements) => Bson::Array(elements.iter().map(bson).collect()),
        Value::Object(members) => typed(members).unwrap_or_else(|| Bson::Document(to_bson(members))),
    }
}

fn number_to_bson(number: &Number) -> Bson {
    match number.as_i64() {
        Some(whole) => i32::try_from(whole).map_or(Bson::Int64(whole), Bson::Int32),
        None => Bson::Double(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// The type that an object of extended JSON stands for; `None` for any object that is not exactly one.
fn typed(members: &Object) -> Option<Bson> {
    let mut all = members.iter();
    let ((name, value), None) = (all.next()?, all.next()) else {
        return None;
    };
    let found = match name.as_str() {
        "$numberLong" => Bson::Int64(value.as_str()?.parse().ok()?),
        "$numberDouble" => Bson::Double(match value.as_str()? {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => return None,
        }),
        "$numberDecimal" => Bson::Decimal128(value.as_str()?.parse::<Decimal128>().ok()?),
        "$oid" => Bson::ObjectId(ObjectId::parse_str(value.as_str()?).ok()?),
        "$date" => Bson::DateTime(date_of(value)?),
        "$binary" => binary(value)?,
        "$timestamp" => {
            let part = |name: &str| u32::try_from(value.get(name)?.as_u64()?).ok();
            Bson::Timestamp(Timestamp {
                time: part("t")?,
                increment: part("i")?,
            })
        }
        "$regularExpression" => {
            let part = |name: &str| CString::try_from(value.get(name)?.as_str()?.to_owned()).ok();
            Bson::RegularExpression(Regex {
                pattern: part("pattern")?,
                options: part("options")?,
            })
        }
        "$code" => Bson::JavaScriptCode(value.as_str()?.to_owned()),
        "$symbol" => Bson::Symbol(value.as_str()?.to_owned()),
        "$undefined" if *value == Value::Bool(true) => Bson::Undefined,
        "$minKey" if *value == json!(1) => Bson::MinKey,
        "$maxKey" if *value == json!(1) => Bson::MaxKey,
        _ => return None,
    };
    // What would come back as another text is left as it stands: nothing of a document is lost by an export.
    (read_back(&found)? == *members).then_some(found)
}

fn date_of(value: &Value) -> Option<DateTime> {
    match value {
        Value::String(text) => DateTime::parse_rfc3339_str(text).ok(),
        Value::Object(members) => {
            let millis = members.get("$numberLong")?.as_str()?.parse().ok()?;
            Some(DateTime::from_millis(millis))
        }
        _ => None,
    }
}

fn binary(value: &Value) -> Option<Bson> {
    let sub_type = u8::from_str_radix(value.get("subType")?.as_str()?, 16).ok()?;
    Some(Bson::Binary(Binary {
        subtype: BinarySubtype::from(sub_type),
        bytes: base64::decode(value.get("base64")?.as_str()?).ok()?,
    }))
}

/// What a value is when it is read again.
fn read_back(value: &Bson) -> Option<Object> {
    let mut document = Document::new();
    document.insert("v", value.clone());
    let bytes = document.to_vec().ok()?;
    match from_bson(RawDocument::from_bytes(&bytes).ok()?)
        .ok()?
        .remove("v")?
    {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_bson_stands_in_json_and_comes_back() {
        let all = bson::doc! {
            "double": 2.5, "whole": 2.0, "string": "x", "int": 7, "long": 1_i64 << 40, "beyond": i64::MIN,
            "nan": f64::NAN, "none": Bson::Null, "list": [1, {"a": true}],
            "id": ObjectId::parse_str("00112233445566778899aabb").unwrap(),
            "date": DateTime::from_millis(1_767_323_045_006), "old": DateTime::from_millis(-1),
            "second": DateTime::from_millis(1_767_323_045_000),
            "decimal": "12.50".parse::<Decimal128>().unwrap(),
            "bytes": Binary { subtype: BinarySubtype::Uuid, bytes: vec![1, 2, 3] },
            "time": Timestamp { time: 4, increment: 5 }, "undefined": Bson::Undefined,
            "min": Bson::MinKey, "max": Bson::MaxKey, "symbol": Bson::Symbol("s".to_owned()),
            "code": Bson::JavaScriptCode("f()".to_owned()),
        };
        let bytes = all.to_vec().unwrap();
        let json = from_bson(RawDocument::from_bytes(&bytes).unwrap()).unwrap();
        assert_eq!(json["whole"], json!(2));
        assert_eq!(json["date"], json!({"$date": "2026-01-02T03:04:05.006Z"}));
        assert_eq!(json["old"], json!({"$date": {"$numberLong": "-1"}}));
        let back = to_bson(&json);
        for (name, value) in &all {
            match name.as_str() {
                // The width of a number is not kept, its value is.
                "whole" => assert_eq!(back.get(name), Some(&Bson::Int32(2))),
                "nan" => assert!(matches!(back.get(name), Some(Bson::Double(nan)) if nan.is_nan())),
                _ => assert_eq!(back.get(name), Some(value), "{name}"),
            }
        }
        let again = from_bson(RawDocument::from_bytes(&back.to_vec().unwrap()).unwrap()).unwrap();
        assert_eq!(again, json);
    }

    /// A defect it catches: a file whose nesting ends the stack.
    #[test]
    fn deep_bson_and_repeated_members_are_refused() {
        let mut deep = bson::doc! {};
        for _ in 0..JSON_DEPTH_MAX {
            deep = bson::doc! {"a": deep};
        }
        let bytes = deep.to_vec().unwrap();
        let refused = from_bson(RawDocument::from_bytes(&bytes).unwrap());
        assert!(matches!(refused, Err(BsonError::TooDeep)));
        // {"a": null, "a": null}
        let twice = [11, 0, 0, 0, 10, b'a', 0, 10, b'a', 0, 0];
        let refused = from_bson(RawDocument::from_bytes(&twice).unwrap());
        assert!(matches!(refused, Err(BsonError::Repeated(_))));
    }
}
