//! Reading JSON from outside, and the one spelling in which it is kept and signed.
//!
//! Only I-JSON (RFC 7493) is read: each member once, whole Unicode, numbers that every reader of doubles reads the
//! same. What a reader accepts, the canonical form (RFC 8785) spells in one way, and reading that gives the same value.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::{Object, Value};
use crate::encoding::pointer;
use crate::limits::{JSON_DEPTH_MAX, JSON_INTEGER_MAX};

/// From here on a whole number is spelled with an exponent in the canonical form.
const EXPONENT_FROM: f64 = 1e21;

/// What is wrong with a JSON text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at {}", Place(pointer))]
pub struct JsonError {
    /// What.
    pub fault: JsonFault,
    /// Where: a JSON pointer (RFC 6901), as far as the text could be read.
    pub pointer: String,
}

struct Place<'a>(&'a str);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("the top"),
            pointer => write!(f, "`{pointer}`"),
        }
    }
}

/// What is wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// RFC 8259 does not know it, or a text has a lone surrogate.
    #[error("this is not JSON")]
    Syntax,
    /// Nested deeper than [`JSON_DEPTH_MAX`].
    #[error("values are nested too deep")]
    TooDeep,
    /// A member occurs twice.
    #[error("a member occurs twice")]
    Duplicate,
    /// A whole number beyond ±(2^53 − 1), or no double.
    #[error("a number is too large to be exact")]
    Number,
    /// Something else than an object where one is needed.
    #[error("an object is needed")]
    NotAnObject,
}

/// Reads one JSON value that is the whole text. The caller has bounded its length.
///
/// # Errors
/// [`JsonError`] with the place of the first fault.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    let place = RefCell::new(Reading::default());
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = Node {
        reading: &place,
        depth: 0,
    }
    .deserialize(&mut reader)
    .and_then(|value| reader.end().map(|()| value));
    read.map_err(|_| {
        let reading = place.into_inner();
        JsonError {
            fault: reading.fault.unwrap_or(JsonFault::Syntax),
            pointer: reading.pointer,
        }
    })
}

/// Reads one JSON object that is the whole text.
///
/// # Errors
/// As [`parse`], and [`JsonFault::NotAnObject`].
pub fn parse_object(text: &[u8]) -> Result<Object, JsonError> {
    match parse(text)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError {
            fault: JsonFault::NotAnObject,
            pointer: String::new(),
        }),
    }
}

/// The canonical form (RFC 8785): members sorted by their UTF-16 units, no spaces, one spelling of each text and number.
pub fn canonical(value: &impl serde::Serialize) -> Vec<u8> {
    // A map with names that are no texts is the only thing it fails for, and JSON has none.
    serde_json_canonicalizer::to_vec(value).unwrap_or_default()
}

/// Where the reader is, and what it found there.
#[derive(Default)]
struct Reading {
    pointer: String,
    fault: Option<JsonFault>,
}

impl Reading {
    /// Goes into a member, and answers where to come back to.
    fn enter(&mut self, name: &str) -> usize {
        pointer::push(&mut self.pointer, name)
    }
}

/// Reads the value at one place.
#[derive(Clone, Copy)]
struct Node<'a> {
    reading: &'a RefCell<Reading>,
    depth: usize,
}

impl Node<'_> {
    fn refuse<E: serde::de::Error>(self, fault: JsonFault) -> E {
        self.reading.borrow_mut().fault = Some(fault);
        E::custom("refused")
    }

    fn within<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= JSON_DEPTH_MAX {
            return Err(self.refuse(JsonFault::TooDeep));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        if value > JSON_INTEGER_MAX {
            return Err(self.refuse(JsonFault::Number));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > JSON_INTEGER_MAX {
            return Err(self.refuse(JsonFault::Number));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        number(value)
            .map(Value::Number)
            .ok_or_else(|| self.refuse(JsonFault::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.within()?;
        let mut values = Vec::new();
        loop {
            let back = self.reading.borrow_mut().enter(&values.len().to_string());
            let next = seq.next_element_seed(inner)?;
            self.reading.borrow_mut().pointer.truncate(back);
            let Some(value) = next else {
                return Ok(Value::Array(values));
            };
            values.push(value);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.within()?;
        let mut object = Object::new();
        while let Some(name) = map.next_key::<String>()? {
            let back = self.reading.borrow_mut().enter(&name);
            if object.contains_key(&name) {
                return Err(self.refuse(JsonFault::Duplicate));
            }
            let value = map.next_value_seed(inner)?;
            object.insert(name, value);
            self.reading.borrow_mut().pointer.truncate(back);
        }
        Ok(Value::Object(object))
    }
}

/// A double as a number of a document: whole ones are integers, and exact; `None` for what no document holds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "both sides are within 2^53, where doubles are exact"
)]
pub(super) fn number(value: f64) -> Option<Number> {
    if !value.is_finite() {
        None
    } else if value.fract() == 0.0 && value.abs() < EXPONENT_FROM {
        (value.abs() <= JSON_INTEGER_MAX as f64).then(|| Number::from(value as i64))
    } else {
        Number::from_f64(value)
    }
}
