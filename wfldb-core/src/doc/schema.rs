//! Which JSON Schemas (draft 2020-12) a bucket may have: those whose evaluation costs a bounded number of steps for each
//! value of a document.
//!
//! References lead only within the schema and never in a circle, and what they lead to is counted each time: a schema of
//! a few lines could otherwise ask for more steps than there are atoms. The evaluation is a library's.

use super::Value;
use crate::encoding::pointer;
use crate::limits::{SCHEMA_DEPTH_MAX, SCHEMA_PARTS_MAX};

/// The only `$schema`.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Keywords that would lead elsewhere, or to where it depends on the way that was come.
const REFUSED: [&str; 8] = [
    "$id",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$recursiveAnchor",
    "$vocabulary",
    "id",
];
/// Their values are data.
const DATA: [&str; 5] = ["const", "enum", "default", "examples", "required"];
/// Their members are schemas under names of the user's.
const NAMED: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];
/// Where schemas stand that only references lead to.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];
/// Each of these looks again at what others looked at, so a chain of them multiplies.
const UNEVALUATED_MAX: usize = 4;

/// What is wrong with a schema, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct SchemaError {
    /// What.
    pub fault: SchemaFault,
    /// Where: a JSON pointer, as far as it is known.
    pub pointer: String,
}

/// What is wrong with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaFault {
    /// Not an object or a boolean, or not a schema of the draft.
    #[error("this is no JSON Schema of draft 2020-12")]
    Malformed,
    /// A keyword that is not served.
    #[error("a keyword of the schema is not served")]
    Keyword,
    /// A reference that leads out of the schema, or nowhere.
    #[error("a reference of the schema does not lead into it")]
    Reference,
    /// Too many schemas within it, or nested too deep, references followed.
    #[error("the schema has too many parts, or goes in a circle")]
    TooLarge,
}

/// Checks that a schema is one that a bucket may have.
///
/// # Errors
/// [`SchemaError`].
pub fn check_schema(schema: &Value) -> Result<(), SchemaError> {
    let mut walk = Walk {
        root: schema,
        parts: 0,
        unevaluated: 0,
    };
    walk.schema(schema, 0, &mut String::new())
}

struct Walk<'a> {
    root: &'a Value,
    parts: usize,
    unevaluated: usize,
}

impl Walk<'_> {
    fn schema(&mut self, schema: &Value, depth: usize, at: &mut String) -> Result<(), SchemaError> {
        self.parts += 1;
        if self.parts > SCHEMA_PARTS_MAX || depth > SCHEMA_DEPTH_MAX {
            return Err(refuse(SchemaFault::TooLarge, at));
        }
        let members = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(members) => members,
            _ => return Err(refuse(SchemaFault::Malformed, at)),
        };
        for (name, value) in members {
            let back = pointer::push(at, name);
            let name = name.as_str();
            if REFUSED.contains(&name) || (name == "$schema" && value.as_str() != Some(DRAFT)) {
                return Err(refuse(SchemaFault::Keyword, at));
            }
            if name.starts_with("unevaluated") {
                self.unevaluated += 1;
                if self.unevaluated > UNEVALUATED_MAX {
                    return Err(refuse(SchemaFault::TooLarge, at));
                }
            }
            if name == "$ref" {
                let target = value.as_str().and_then(|text| text.strip_prefix('#'));
                let target = target.and_then(|pointer| self.root.pointer(pointer));
                let target = target.ok_or_else(|| refuse(SchemaFault::Reference, at))?;
                self.schema(target, depth + 1, at)?;
            } else if NAMED.contains(&name) {
                for (inner, value) in value.as_object().into_iter().flatten() {
                    let back = pointer::push(at, inner);
                    self.schema(value, depth + 1, at)?;
                    at.truncate(back);
                }
            } else if !DATA.contains(&name) && !DEFINITIONS.contains(&name) {
                self.others(value, depth, at)?;
            }
            at.truncate(back);
        }
        Ok(())
    }

    /// The value of any other keyword: a schema, a list of them, or neither.
    fn others(&mut self, value: &Value, depth: usize, at: &mut String) -> Result<(), SchemaError> {
        match value {
            Value::Object(_) => self.schema(value, depth + 1, at),
            Value::Array(values) => values
                .iter()
                .filter(|value| value.is_object())
                .try_for_each(|value| self.schema(value, depth + 1, at)),
            _ => Ok(()),
        }
    }
}

fn refuse(fault: SchemaFault, at: &str) -> SchemaError {
    SchemaError {
        fault,
        pointer: at.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(schema: &Value) -> Option<(SchemaFault, String)> {
        let error = check_schema(schema).err()?;
        Some((error.fault, error.pointer))
    }

    #[test]
    fn schemas_stay_within_themselves() {
        for schema in [
            json!(true),
            json!({}),
            json!({"$schema": DRAFT, "type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}}),
            // Names and data of the user's, not keywords.
            json!({"properties": {"$id": {"type": "string"}, "const": {"enum": [{"$ref": "x"}]}}}),
        ] {
            assert_eq!(fault(&schema), None, "{schema}");
        }
        for (schema, what, place) in [
            (json!(1), SchemaFault::Malformed, ""),
            (
                json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
                SchemaFault::Keyword,
                "/$schema",
            ),
            (
                json!({"$ref": "https://example.org/a"}),
                SchemaFault::Reference,
                "/$ref",
            ),
            (json!({"$ref": "#/$defs/none"}), SchemaFault::Reference, "/$ref"),
            (
                json!({"items": {"$dynamicRef": "#a"}}),
                SchemaFault::Keyword,
                "/items/$dynamicRef",
            ),
            (
                json!({"properties": {"a": 1}}),
                SchemaFault::Malformed,
                "/properties/a",
            ),
        ] {
            assert_eq!(fault(&schema), Some((what, place.to_owned())), "{schema}");
        }
    }

    /// DEFECT: a schema of a kilobyte that takes 2^40 steps, or one that goes in a circle.
    #[test]
    fn what_references_multiply_is_counted() {
        let circle = json!({"properties": {"a": {"$ref": "#"}}});
        assert_eq!(fault(&circle).unwrap().0, SchemaFault::TooLarge);
        let mut definitions = serde_json::Map::new();
        for n in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            definitions.insert(format!("d{n}"), json!({"allOf": [next, next]}));
        }
        definitions.insert("d40".to_owned(), json!({"type": "string"}));
        let doubling = json!({"$ref": "#/$defs/d0", "$defs": definitions});
        assert_eq!(fault(&doubling).unwrap().0, SchemaFault::TooLarge);
        // The same in what the user named like data.
        let hidden = json!({"properties": {"const": {"$ref": "#/$defs/d0"}}, "$defs": doubling["$defs"]});
        assert_eq!(fault(&hidden).unwrap().0, SchemaFault::TooLarge);
    }
}
