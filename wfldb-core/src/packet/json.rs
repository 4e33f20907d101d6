//! A strict reader of the small JSON inside packets.
//!
//! SECURITY: two readers that disagree about one text are two verdicts on one signature. So there is
//! no leniency: members occur once, numbers are plain decimal integers from 0 that fit 64 bits, there
//! is no `null`, strings are whole Unicode, and depth and counts are bounded before anything is kept.

use std::str::Chars;

use super::PacketError;
use crate::limits::{GRANT_LIST_MAX, PACKET_JSON_DEPTH_MAX};

/// More members than any object of a packet has.
const MEMBERS_MAX: usize = 16;

/// A JSON value of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    Number(u64),
    Text(String),
    List(Vec<Value>),
    Object(Object),
}

/// The members of an object in their order, each name once. A member is taken out when it is read,
/// so that what is left over is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Object(Vec<(String, Value)>);

impl Object {
    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// Asserts that every member was taken.
    pub(super) fn finish(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        match self.take(name)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn list(&mut self, name: &str) -> Option<Vec<Value>> {
        match self.take(name)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}

/// Reads one JSON object that is the whole text.
pub(super) fn parse_object(bytes: &[u8]) -> Result<Object, PacketError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PacketError::Json)?;
    let mut reader = Reader { rest: text.chars() };
    let value = reader.value(0).ok_or(PacketError::Json)?;
    reader.skip_space();
    match value {
        Value::Object(object) if reader.rest.as_str().is_empty() => Ok(object),
        _ => Err(PacketError::Json),
    }
}

struct Reader<'a> {
    rest: Chars<'a>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.rest.next();
        }
    }

    /// The next character that is not space.
    fn token(&mut self) -> Option<char> {
        self.skip_space();
        self.rest.next()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth >= PACKET_JSON_DEPTH_MAX {
            return None;
        }
        match self.token()? {
            '{' => self.object(depth).map(Value::Object),
            '[' => self.list(depth).map(Value::List),
            '"' => self.text().map(Value::Text),
            't' => self.word("rue").map(|()| Value::Bool(true)),
            'f' => self.word("alse").map(|()| Value::Bool(false)),
            digit => self.number(digit).map(Value::Number),
        }
    }

    fn word(&mut self, rest: &str) -> Option<()> {
        rest.chars()
            .all(|expected| self.rest.next() == Some(expected))
            .then_some(())
    }

    /// A number whose first digit was read. What follows it is checked by the caller, which expects
    /// `,`, `]` or `}`; so `.`, `e` and a digit after a leading zero are refused there.
    fn number(&mut self, first: char) -> Option<u64> {
        let mut number = u64::from(first.to_digit(10)?);
        while let Some(digit) = self.peek().and_then(|character| character.to_digit(10)) {
            if number == 0 {
                return None;
            }
            number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
            self.rest.next();
        }
        Some(number)
    }

    /// A text whose opening quote was read.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                character if character < ' ' => return None,
                character => text.push(character),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        match self.rest.next()? {
            escaped @ ('"' | '\\' | '/') => Some(escaped),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => match self.hex4()? {
                high @ 0xd800..=0xdbff => {
                    self.word("\\u")?;
                    let low = self.hex4().filter(|low| (0xdc00..=0xdfff).contains(low))?;
                    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                }
                // A lone low surrogate is no character, so this refuses it.
                unit => char::from_u32(unit),
            },
            _ => None,
        }
    }

    fn hex4(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |value, _| Some((value << 4) | self.rest.next()?.to_digit(16)?))
    }

    /// A list whose opening bracket was read.
    fn list(&mut self, depth: usize) -> Option<Vec<Value>> {
        let mut list = Vec::new();
        self.skip_space();
        if self.peek() == Some(']') {
            self.rest.next();
            return Some(list);
        }
        loop {
            if list.len() >= GRANT_LIST_MAX {
                return None;
            }
            list.push(self.value(depth + 1)?);
            match self.token()? {
                ',' => {}
                ']' => return Some(list),
                _ => return None,
            }
        }
    }

    /// An object whose opening brace was read.
    fn object(&mut self, depth: usize) -> Option<Object> {
        let mut members: Vec<(String, Value)> = Vec::new();
        self.skip_space();
        if self.peek() == Some('}') {
            self.rest.next();
            return Some(Object(members));
        }
        loop {
            if members.len() >= MEMBERS_MAX || self.token()? != '"' {
                return None;
            }
            let name = self.text()?;
            let repeated = members.iter().any(|(known, _)| *known == name);
            if repeated || self.token()? != ':' {
                return None;
            }
            let value = self.value(depth + 1)?;
            members.push((name, value));
            match self.token()? {
                ',' => {}
                '}' => return Some(Object(members)),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_json_is_read() {
        let mut object =
            parse_object(" {\"a\" : [1, true,false ,\"\\u00e9\\ud83d\\ude00\\n\"] , \"b\":{} }".as_bytes())
                .unwrap();
        let list = object.list("a").unwrap();
        assert_eq!(
            list,
            [
                Value::Number(1),
                Value::Bool(true),
                Value::Bool(false),
                Value::Text("é😀\n".to_owned())
            ]
        );
        assert_eq!(object.take("b"), Some(Value::Object(Object::default())));
        assert!(object.finish().is_some());
    }

    #[test]
    fn lenient_json_is_refused() {
        for text in [
            "",
            "[]",
            "{} x",
            "{,}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1,\"a\":1}",
            "{\"a\":1,\"\\u0061\":1}",
            "{\"a\":1.0}",
            "{\"a\":1e3}",
            "{\"a\":-1}",
            "{\"a\":-0}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":18446744073709551616}",
            "{\"a\":null}",
            "{\"a\":tru}",
            "{\"a\":True}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\"}",
            "{\"a\":\"\\ud800\\u0041\"}",
            "{\"a\":\"\\x41\"}",
            "{\"a\":\"",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":1}/**/",
            "\u{feff}{\"a\":1}",
            "{\"a\":[[[[[[1]]]]]]}",
            "{\"a\":NaN}",
        ] {
            assert_eq!(parse_object(text.as_bytes()), Err(PacketError::Json), "{text}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), Err(PacketError::Json));
    }
}
