//! The one total order of JSON values. It serves comparison in queries, sorting and the keys of indexes.
//!
//! As in CouchDB: null, false, true, numbers, texts, arrays, objects. Numbers by value; texts by the Unicode root
//! collation, and by their bytes where that finds them equal; arrays value by value, the shorter first where one begins
//! the other; objects member by member in the order of their names, first the names, then the values.

use std::cmp::Ordering;

use super::Value;
use super::collate::{collate, write_sort_key, write_sort_key_of_begin};

/// Ends a list inside a key; below every tag.
const END: u8 = 0x00;
const NULL: u8 = 0x10;
const FALSE: u8 = 0x18;
const TRUE: u8 = 0x19;
const NUMBER: u8 = 0x20;
const TEXT: u8 = 0x30;
const ARRAY: u8 = 0x40;
const OBJECT: u8 = 0x50;
/// Follows a zero byte that is part of a text.
const ESCAPED: u8 = 0xff;

fn tag(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(false) => FALSE,
        Value::Bool(true) => TRUE,
        Value::Number(_) => NUMBER,
        Value::String(_) => TEXT,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

/// Compares two values of documents.
pub fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => double(left).total_cmp(&double(right)),
        (Value::String(left), Value::String(right)) => compare_text(left, right),
        (Value::Array(left), Value::Array(right)) => {
            let pairs = left.iter().zip(right);
            let differs = pairs
                .map(|(left, right)| compare(left, right))
                .find(|order| order.is_ne());
            differs.unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => {
            let pairs = left.iter().zip(right);
            let differs = pairs
                .map(|(left, right)| compare_text(left.0, right.0).then_with(|| compare(left.1, right.1)))
                .find(|order| order.is_ne());
            differs.unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        _ => tag(left).cmp(&tag(right)),
    }
}

/// Appends the key of a value: keys compare bytewise as [`compare`] compares the values, and none begins another.
pub fn write_key(value: &Value, key: &mut Vec<u8>) {
    key.push(tag(value));
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            let bits = double(number).to_bits();
            // Negative numbers in reverse, below all others.
            let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
            key.extend(ordered.to_be_bytes());
        }
        Value::String(text) => write_text(text, key),
        Value::Array(values) => {
            for value in values {
                write_key(value, key);
            }
            key.push(END);
        }
        Value::Object(members) => {
            for (name, value) in members {
                key.push(TEXT);
                write_text(name, key);
                write_key(value, key);
            }
            key.push(END);
        }
    }
}

/// Every number of a document is a double, integers up to 2^53 exactly.
fn double(number: &serde_json::Number) -> f64 {
    number.as_f64().unwrap_or(0.0)
}

fn compare_text(left: &str, right: &str) -> Ordering {
    collate(left, right).then_with(|| left.cmp(right))
}

/// The sort key, which has no zero byte, ended by one; then the text itself, which decides where sort keys are equal.
fn write_text(text: &str, key: &mut Vec<u8>) {
    write_sort_key(text, key);
    key.push(END);
    for byte in text.bytes() {
        key.push(byte);
        if byte == END {
            key.push(ESCAPED);
        }
    }
    key.extend([END, END]);
}

/// Appends what the keys of all texts begin with that begin with `begin`. Those of other texts may begin so too.
pub fn write_begin_of_text(begin: &str, key: &mut Vec<u8>) {
    key.push(TEXT);
    write_sort_key_of_begin(begin, key);
}
