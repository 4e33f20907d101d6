//! Documents out of a file, one by one, whatever its length. What is wrong is told with its line, or in BSON with its place.

use std::io::{self, BufRead, Read as _};

use bson::RawDocument;
use wfldb_core::doc::{self, Object};
use wfldb_core::limits::DOCUMENT_BYTES_MAX;

use super::Format;
use super::extended::from_bson;

/// Longest document as it stands in a file: spaces and escapes can make it longer than it is when stored.
const TEXT_BYTES_MAX: usize = 4 * DOCUMENT_BYTES_MAX;

/// A document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The line on which it begins; in BSON which one of the documents it is; from 1.
    pub place: u64,
    /// Its members.
    pub document: Object,
}

/// Why a file cannot be read, or a document of it is none.
#[derive(Debug, thiserror::Error)]
#[error("{}{reason}", Place(*format, *place))]
pub struct ReadError {
    format: Format,
    /// As [`Found::place`]; 0 where the file itself cannot be read.
    pub place: u64,
    /// What is wrong.
    pub reason: String,
    /// What follows can be read all the same.
    pub goes_on: bool,
}

struct Place(Format, u64);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0, self.1) {
            (_, 0) => Ok(()),
            (Format::Bson, place) => write!(f, "document {place}: "),
            (Format::JsonLines | Format::Json, place) => write!(f, "line {place}: "),
        }
    }
}

/// Reads the documents of a file in their order.
#[derive(Debug)]
pub struct DocumentReader<R> {
    input: R,
    format: Format,
    /// Of text: lines that were begun. Of BSON: documents.
    place: u64,
    /// Bytes that were read.
    bytes: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Within,
    End,
}

impl<R: BufRead> DocumentReader<R> {
    /// A reader of what `input` brings.
    pub fn new(input: R, format: Format) -> Self {
        Self {
            input,
            format,
            place: 0,
            bytes: 0,
            state: State::Begin,
        }
    }

    /// How many bytes of the file were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next document; `None` behind the last.
    ///
    /// # Errors
    /// [`ReadError`]. Behind one that does not go on there is nothing more.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator of results would hide that some of them end it"
    )]
    pub fn next(&mut self) -> Option<Result<Found, ReadError>> {
        if self.state == State::End {
            return None;
        }
        let found = match self.format {
            Format::JsonLines => self.next_line(),
            Format::Json => self.next_element(),
            Format::Bson => self.next_bson(),
        };
        if !matches!(&found, Ok(Some(_)) | Err(ReadError { goes_on: true, .. })) {
            self.state = State::End;
        }
        found.transpose()
    }

    fn fails(&self, place: u64, reason: impl Into<String>) -> ReadError {
        ReadError {
            format: self.format,
            place,
            reason: reason.into(),
            goes_on: false,
        }
    }

    fn unreadable(&self, error: &io::Error) -> ReadError {
        self.fails(0, format!("cannot be read: {error}"))
    }

    /// A document that is none, where what follows is not affected.
    fn passes(&self, place: u64, reason: impl Into<String>) -> ReadError {
        ReadError {
            goes_on: true,
            ..self.fails(place, reason)
        }
    }

    fn parsed(&self, place: u64, text: &[u8]) -> Result<Found, ReadError> {
        let document = doc::parse_object(text).map_err(|error| self.passes(place, error.to_string()))?;
        Ok(Found { place, document })
    }

    fn next_line(&mut self) -> Result<Option<Found>, ReadError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let most = TEXT_BYTES_MAX as u64 + 1;
            let read = io::Read::take(&mut self.input, most).read_until(b'\n', &mut line);
            let read = read.map_err(|error| self.unreadable(&error))?;
            if read == 0 {
                return Ok(None);
            }
            self.bytes += read as u64;
            self.place += 1;
            if line.len() > TEXT_BYTES_MAX {
                return Err(self.fails(self.place, "the line is too long for a document"));
            }
            // A mark of UTF-8 at the beginning of a file is no part of its first line.
            let text = match self.place {
                1 => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line),
                _ => &line,
            };
            if !text.trim_ascii().is_empty() {
                return self.parsed(self.place, text).map(Some);
            }
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, ReadError> {
        let next = self.input.fill_buf().map(|buffer| buffer.first().copied());
        let next = next.map_err(|error| self.unreadable(&error))?;
        if let Some(byte) = next {
            self.input.consume(1);
            self.bytes += 1;
            self.place += u64::from(byte == b'\n');
        }
        Ok(next)
    }

    /// The next byte that is no space.
    fn sign(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            match self.byte()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => {}
                other => return Ok(other),
            }
        }
    }

    fn next_element(&mut self) -> Result<Option<Found>, ReadError> {
        if self.state == State::Begin {
            self.place = 1;
            let mut first = self.sign()?;
            if first == Some(0xef) && self.byte()? == Some(0xbb) && self.byte()? == Some(0xbf) {
                first = self.sign()?;
            }
            if first != Some(b'[') {
                return Err(self.fails(self.place, "not a JSON array of objects; is it JSON Lines?"));
            }
        }
        let mut sign = self.sign()?;
        match (self.state, sign) {
            (_, Some(b']')) => {
                let behind = self.sign()?;
                let end = behind.map(|_| self.fails(self.place, "something stands behind the array"));
                return end.map_or(Ok(None), Err);
            }
            (State::Within, Some(b',')) => sign = self.sign()?,
            (State::Within, Some(_)) => return Err(self.fails(self.place, "`,` or `]` is missing")),
            _ => {}
        }
        self.state = State::Within;
        let place = self.place;
        match sign {
            Some(b'{') => {}
            Some(_) => return Err(self.fails(place, "not an object")),
            None => return Err(self.fails(place, "the array has no end")),
        }
        let text = self.object(place)?;
        self.parsed(place, &text).map(Some)
    }

    /// The bytes of an object behind its first brace. Only strings and brackets are looked at: whether it is JSON is
    /// asked when it is whole.
    fn object(&mut self, place: u64) -> Result<Vec<u8>, ReadError> {
        let mut text = vec![b'{'];
        let (mut depth, mut quoted, mut escaped) = (1_usize, false, false);
        while depth > 0 {
            let Some(byte) = self.byte()? else {
                return Err(self.fails(place, "the object has no end"));
            };
            text.push(byte);
            if text.len() > TEXT_BYTES_MAX {
                return Err(self.fails(place, "the object is too long for a document"));
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => depth += 1,
                b'}' | b']' if !quoted => depth -= 1,
                _ => {}
            }
        }
        Ok(text)
    }

    fn next_bson(&mut self) -> Result<Option<Found>, ReadError> {
        self.place += 1;
        let place = self.place;
        let mut raw = Vec::new();
        let read = io::Read::take(&mut self.input, 4).read_to_end(&mut raw);
        read.map_err(|error| self.unreadable(&error))?;
        if raw.is_empty() {
            return Ok(None);
        }
        let len = <[u8; 4]>::try_from(raw.as_slice()).ok();
        let len = len.and_then(|len| usize::try_from(i32::from_le_bytes(len)).ok());
        let Some(len) = len.filter(|len| (5..=TEXT_BYTES_MAX).contains(len)) else {
            return Err(self.fails(place, "not BSON, or too long for a document"));
        };
        let rest = io::Read::take(&mut self.input, len as u64 - 4).read_to_end(&mut raw);
        rest.map_err(|error| self.unreadable(&error))?;
        self.bytes += raw.len() as u64;
        if raw.len() != len {
            return Err(self.fails(place, "it is cut off"));
        }
        let read = RawDocument::from_bytes(&raw).map_err(|error| error.to_string());
        let document = read.and_then(|raw| from_bson(raw).map_err(|error| error.to_string()));
        let document = document.map_err(|reason| self.passes(place, reason))?;
        Ok(Some(Found { place, document }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn all(text: &[u8], format: Format) -> Vec<Result<(u64, Value), String>> {
        let mut reader = DocumentReader::new(text, format);
        let mut found = Vec::new();
        while let Some(next) = reader.next() {
            found.push(match next {
                Ok(next) => Ok((next.place, Value::Object(next.document))),
                Err(error) => Err(error.to_string()),
            });
        }
        found
    }

    #[test]
    fn lines_are_counted_and_one_that_is_bad_does_not_end_the_file() {
        let text = b"\xef\xbb\xbf{\"a\":1}\n\n  {\"b\":\"}{\"}\r\n[1]\n{\"a\":1,\"a\":2}\n{\"c\":3}";
        let found = all(text, Format::JsonLines);
        assert_eq!(found[0], Ok((1, json!({"a": 1}))));
        assert_eq!(found[1], Ok((3, json!({"b": "}{"}))));
        assert!(
            found[2].as_ref().unwrap_err().starts_with("line 4: "),
            "{found:?}"
        );
        assert!(
            found[3].as_ref().unwrap_err().starts_with("line 5: "),
            "{found:?}"
        );
        assert_eq!(found[4], Ok((6, json!({"c": 3}))));
        assert_eq!(found.len(), 5);
    }

    /// Against a parser of the whole text. Defects it catches: a bracket in a string that ends an object; an escape that is
    /// taken for the end of a string.
    #[test]
    fn an_array_is_cut_where_its_objects_end() {
        let objects = [
            json!({}),
            json!({"a": "]}\"\\", "b": [1, {"c": "{["}]}),
            json!({"\\\"": "\\\\", "ü": ["\u{1f600}"]}),
        ];
        for text in [
            serde_json::to_vec(&objects).unwrap(),
            serde_json::to_vec_pretty(&objects).unwrap(),
        ] {
            let found: Vec<_> = all(&text, Format::Json)
                .into_iter()
                .map(|found| found.unwrap().1)
                .collect();
            assert_eq!(found, objects);
        }
        assert!(all(b" [ ] ", Format::Json).is_empty());
        for (text, place) in [
            (&b"{}"[..], "line 1: "),
            (b"", "line 1: "),
            (b"[{}", "line 1: "),
            (b"[\n{}\n{}]", "line 3: "),
            (b"[{},]", "line 1: "),
            (b"[1]", "line 1: "),
            (b"[{}]\n x", "line 2: "),
            (b"[{\"a\":\n\n", "line 1: "),
        ] {
            let found = all(text, Format::Json);
            let last = found.last().unwrap().as_ref().unwrap_err();
            assert!(last.starts_with(place), "{text:?} {found:?}");
        }
        // One that is whole and bad leaves the others.
        let found = all(b"[{\"a\":1,\"a\":1},\n{\"b\":2}]", Format::Json);
        assert!(
            found[0].is_err() && found[1] == Ok((2, json!({"b": 2}))),
            "{found:?}"
        );
    }

    #[test]
    fn bson_that_is_cut_or_lies_about_its_length_is_told() {
        let one = bson::doc! {"a": 1, "b": "x"}.to_vec().unwrap();
        let two = [one.clone(), one.clone()].concat();
        let whole = all(&two, Format::Bson);
        assert_eq!(whole[1], Ok((2, json!({"a": 1, "b": "x"}))));
        for cut in 1..one.len() {
            let found = all(&two[..one.len() + cut], Format::Bson);
            assert!(found[0].is_ok() && found.len() == 2, "{found:?}");
            assert!(found[1].as_ref().unwrap_err().starts_with("document 2: "));
        }
        for len in [0_i32, -1, 4, i32::MAX] {
            let mut lying = one.clone();
            lying[..4].copy_from_slice(&len.to_le_bytes());
            assert!(all(&lying, Format::Bson)[0].is_err());
        }
        // No byte of it makes the reader panic.
        for at in 0..one.len() {
            for bit in 0..8 {
                let mut flipped = one.clone();
                flipped[at] ^= 1 << bit;
                let _ = all(&flipped, Format::Bson);
            }
        }
    }
}
