//! Documents into a file, one by one.

use std::io::{self, Write};

use wfldb_core::doc::{Object, canonical};

use super::Format;
use super::extended::to_bson;

/// Writes documents in a format. What was written is a whole file only after [`DocumentWriter::finish`].
#[derive(Debug)]
pub struct DocumentWriter<W> {
    output: W,
    format: Format,
    written: u64,
}

impl<W: Write> DocumentWriter<W> {
    /// A writer to `output`, which should be buffered.
    pub fn new(output: W, format: Format) -> Self {
        Self {
            output,
            format,
            written: 0,
        }
    }

    /// Adds a document: in JSON in its canonical form, in BSON by the rules of extended JSON.
    ///
    /// # Errors
    /// When the output does not take it.
    pub fn write(&mut self, document: &Object) -> io::Result<()> {
        match self.format {
            Format::JsonLines => {
                self.output.write_all(&canonical(document))?;
                self.output.write_all(b"\n")?;
            }
            Format::Json => {
                let before: &[u8] = if self.written == 0 { b"[\n" } else { b",\n" };
                self.output.write_all(before)?;
                self.output.write_all(&canonical(document))?;
            }
            Format::Bson => {
                let bytes = to_bson(document).to_vec().map_err(io::Error::other)?;
                self.output.write_all(&bytes)?;
            }
        }
        self.written += 1;
        Ok(())
    }

    /// Ends the file and gives the output back.
    ///
    /// # Errors
    /// As [`DocumentWriter::write`].
    pub fn finish(mut self) -> io::Result<W> {
        if self.format == Format::Json {
            let end: &[u8] = if self.written == 0 { b"[]\n" } else { b"\n]\n" };
            self.output.write_all(end)?;
        }
        self.output.flush()?;
        Ok(self.output)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::transfer::DocumentReader;

    /// What is written is read again, in each format. A defect it catches: a type of BSON that comes back as another.
    #[test]
    fn every_format_brings_back_what_was_written() {
        let documents = [
            json!({"_id": "a", "n": 5, "f": 1.5, "big": 9_007_199_254_740_991_i64, "neg": -3, "t": true, "no": null}),
            json!({"_id": "b", "l": [1, [2.25, "x"], {}], "ü": "\u{1f600}\n", "": ""}),
            json!({"_id": "c", "o": {"$oid": "00112233445566778899aabb"}, "d": {"$date": "2026-01-02T03:04:05.006Z"},
                   "x": {"$numberDecimal": "1.10"}, "y": {"$numberLong": "9223372036854775807"},
                   "b": {"$binary": {"base64": "AAEC", "subType": "00"}}, "i": {"$numberDouble": "Infinity"}}),
            // What looks like a type and is none stays what it is.
            json!({"_id": "d", "o": {"$oid": "no"}, "p": {"$date": 1}, "q": {"$oid": "00112233445566778899aabb", "r": 1}}),
        ];
        for format in [Format::JsonLines, Format::Json, Format::Bson] {
            for count in [0, 1, documents.len()] {
                let mut writer = DocumentWriter::new(Vec::new(), format);
                for document in &documents[..count] {
                    writer.write(document.as_object().unwrap()).unwrap();
                }
                let file = writer.finish().unwrap();
                let mut reader = DocumentReader::new(file.as_slice(), format);
                let mut found = Vec::new();
                while let Some(next) = reader.next() {
                    found.push(Value::Object(next.unwrap().document));
                }
                assert_eq!(found, documents[..count], "{format:?}");
                assert_eq!(reader.bytes(), file.len() as u64, "{format:?}");
            }
        }
    }
}
