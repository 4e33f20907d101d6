//! What a bucket asks to be indexed.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::doc::{FieldPath, Object, Value};
use crate::limits::{TEXT_DOCUMENT_BYTES_MAX, TEXT_FIELDS_MAX};

/// The words of which language are brought to their stems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is what it says")]
pub enum Language {
    /// Words are found as they stand, whatever the language.
    #[default]
    None,
    Arabic,
    Danish,
    Dutch,
    English,
    Finnish,
    French,
    German,
    Greek,
    Hungarian,
    Italian,
    Norwegian,
    Portuguese,
    Romanian,
    Russian,
    Spanish,
    Swedish,
    Tamil,
    Turkish,
}

/// Which strings of a document are searched together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextField {
    /// Every string of the document outside of its envelope. Written `*`.
    All,
    /// The strings at and below this place.
    Path(FieldPath),
}

impl TextField {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        // The envelope is the store's: its members are no text of the user's.
        if text.starts_with('_') {
            return None;
        }
        FieldPath::parse(text).ok().map(Self::Path)
    }

    /// The strings of a document that belong to the field, in the order of the document, as long as they are within
    /// [`TEXT_DOCUMENT_BYTES_MAX`] together: what is behind that is not searched.
    pub fn strings<'a>(&self, document: &'a Object) -> Vec<&'a str> {
        let mut found = Strings {
            texts: Vec::new(),
            left: TEXT_DOCUMENT_BYTES_MAX,
        };
        match self {
            Self::All => {
                for (_, value) in document.iter().filter(|(name, _)| !name.starts_with('_')) {
                    found.walk(value);
                }
            }
            Self::Path(path) => {
                let first = path.names().first().and_then(|name| document.get(name));
                let value = path
                    .names()
                    .iter()
                    .skip(1)
                    .fold(first, |value, name| match value {
                        Some(Value::Object(members)) => members.get(name),
                        Some(Value::Array(values)) => {
                            name.parse::<usize>().ok().and_then(|place| values.get(place))
                        }
                        _ => None,
                    });
                if let Some(value) = value {
                    found.walk(value);
                }
            }
        }
        found.texts
    }
}

struct Strings<'a> {
    texts: Vec<&'a str>,
    left: usize,
}

impl<'a> Strings<'a> {
    /// Documents are nested at most [`crate::limits::JSON_DEPTH_MAX`] deep.
    fn walk(&mut self, value: &'a Value) {
        match value {
            Value::String(text) => {
                if let Some(left) = self.left.checked_sub(text.len()) {
                    self.left = left;
                    self.texts.push(text);
                } else {
                    self.left = 0;
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.walk(value)),
            Value::Object(members) => members.values().for_each(|value| self.walk(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

impl fmt::Display for TextField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Path(path) => path.fmt(f),
        }
    }
}

impl Serialize for TextField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TextField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a field that can be searched"))
    }
}

/// The full-text index of a bucket. The default searches all strings together, without stems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// What can be searched apart from each other: 1 to [`TEXT_FIELDS_MAX`], none twice.
    #[serde(default = "all", deserialize_with = "fields")]
    pub fields: Vec<TextField>,
    /// The language of the words.
    #[serde(default)]
    pub language: Language,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            fields: all(),
            language: Language::None,
        }
    }
}

fn all() -> Vec<TextField> {
    vec![TextField::All]
}

fn fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TextField>, D::Error> {
    let fields = Vec::<TextField>::deserialize(deserializer)?;
    let twice = fields
        .iter()
        .enumerate()
        .any(|(index, field)| fields.iter().take(index).any(|before| before == field));
    if fields.is_empty() || fields.len() > TEXT_FIELDS_MAX || twice {
        return Err(serde::de::Error::custom("1 to 16 fields, none twice"));
    }
    Ok(fields)
}

impl TextConfig {
    /// The number of a field by its written form.
    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.to_string() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(value: Value) -> Object {
        match value {
            Value::Object(object) => object,
            _ => Object::new(),
        }
    }

    #[test]
    fn a_configuration_names_fields_once_and_none_of_the_envelope() {
        let read = |text: &str| serde_json::from_str::<TextConfig>(text);
        let config = read(r#"{"fields":["title","a.b"],"language":"english"}"#).unwrap();
        assert_eq!(config.field("a.b"), Some(1));
        assert_eq!(config.language, Language::English);
        assert_eq!(read("{}").unwrap(), TextConfig::default());
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(read(&written).unwrap(), config);
        for bad in [
            r#"{"fields":[]}"#,
            r#"{"fields":["a","a"]}"#,
            r#"{"fields":["*","*"]}"#,
            r#"{"fields":["_by"]}"#,
            r#"{"fields":["a..b"]}"#,
            r#"{"fields":[1]}"#,
            r#"{"language":"klingon"}"#,
            r#"{"stem":true}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_strings_of_a_field_are_those_at_and_below_its_place() {
        let document = document(serde_json::json!({
            "_by": "wc1x", "a": {"b": ["one", {"c": "two"}, 3]}, "d": "four"
        }));
        let strings = |field: &str| TextField::parse(field).unwrap().strings(&document);
        assert_eq!(strings("*"), ["one", "two", "four"]);
        assert_eq!(strings("a"), ["one", "two"]);
        assert_eq!(strings("a.b.1"), ["two"]);
        assert!(strings("a.x").is_empty());
    }

    #[test]
    fn what_is_behind_the_limit_of_a_document_is_left_out() {
        let long = "x".repeat(TEXT_DOCUMENT_BYTES_MAX);
        let document = document(serde_json::json!({"a": long, "b": "y"}));
        assert_eq!(TextField::All.strings(&document).len(), 1);
    }
}
