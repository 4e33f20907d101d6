//! `wfldb import` and `wfldb export`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use wfldb_client::{
    Client, DocumentWriter, Error, ExportOptions, Exported, Format, ImportError, ImportOptions, Imported,
};

use super::args::{self, FileFormat};
use super::bucket::only_bucket;
use super::exit::{Code, Failure, code_of};
use super::list::key_prefix;
use super::output::{Output, counted, shown};

/// Of the file, read and written at once.
const BUFFER_BYTES: usize = 1 << 20;

impl From<FileFormat> for Format {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Jsonl => Self::JsonLines,
            FileFormat::Json => Self::Json,
            FileFormat::Bson => Self::Bson,
        }
    }
}

fn format_of(named: Option<FileFormat>, file: &Path) -> Result<Format, Failure> {
    let found = named.map(Format::from).or_else(|| Format::of_path(file));
    found.ok_or_else(|| {
        let file = file.display();
        Failure::Usage(format!(
            "{file}: its name does not tell the format: give --format jsonl, json or bson"
        ))
    })
}

fn bar(output: &Output, len: Option<u64>) -> ProgressBar {
    // indicatif draws nothing when standard error is not a terminal.
    let target = if output.is_json() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr_with_hz(8)
    };
    let bar = ProgressBar::with_draw_target(len, target);
    let template = match len {
        Some(_) => "{spinner} {msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec}",
        None => "{spinner} {msg} {bytes} {bytes_per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(125));
    bar
}

pub(crate) async fn import(client: &Client, output: &Output, args: &args::Import) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    let is_stdin = args.file.as_os_str() == "-";
    let format = match (args.format, is_stdin) {
        (None, true) => Format::JsonLines,
        (named, _) => format_of(named, &args.file)?,
    };
    let options = ImportOptions {
        id: (args.id != "_id").then(|| args.id.clone()),
        make_ids: args.make_ids,
        only_new: args.new_only,
        keep_going: args.keep_going,
        in_flight: usize::from(args.in_flight),
    };
    let (input, len) = open(&args.file, is_stdin)?;
    let bar = bar(output, len);
    let output = output.beside(bar.clone());
    let begun = Instant::now();
    let mut last = Imported::default();
    let mut told = |sum: &Imported, refused: Option<&str>| {
        last = *sum;
        bar.set_position(sum.bytes);
        bar.set_message(format!("{} stored", sum.stored));
        if let Some(why) = refused {
            output.remark(&refused_line(why, output.is_json()));
        }
    };
    let ended = client.import(bucket, input, format, &options, &mut told).await;
    bar.finish_and_clear();
    let sum = ended.as_ref().map_or(last, |sum| *sum);
    summary(&output, &sum, begun.elapsed(), ended.is_ok())?;
    match ended {
        Ok(sum) if sum.failed > 0 => Err(Failure::Reported(Code::Failed)),
        Ok(_) => Ok(()),
        Err(ImportError::Client(error)) => Err(error.into()),
        Err(error @ ImportError::Document(_)) => {
            output.remark(&refused_line(&error.to_string(), output.is_json()));
            Err(Failure::Reported(Code::Failed))
        }
        Err(ImportError::Refused { place, error }) => {
            output.remark(&refused_line(&format!("{place}: {error}"), output.is_json()));
            Err(Failure::Reported(code_of(&error)))
        }
    }
}

fn open(file: &Path, is_stdin: bool) -> Result<(Box<dyn BufRead + Send>, Option<u64>), Failure> {
    if is_stdin {
        return Ok((
            Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin())),
            None,
        ));
    }
    let unreadable = |error: io::Error| Error::Local(format!("cannot read {}: {error}", file.display()));
    let opened = File::open(file).map_err(unreadable)?;
    let about = opened.metadata().map_err(unreadable)?;
    let len = about.is_file().then_some(about.len());
    Ok((Box::new(BufReader::with_capacity(BUFFER_BYTES, opened)), len))
}

fn refused_line(why: &str, is_json: bool) -> String {
    if is_json {
        json!({"type": "refused", "error": why}).to_string()
    } else {
        format!("wfldb: {}", shown(why))
    }
}

fn summary(output: &Output, sum: &Imported, took: Duration, whole: bool) -> io::Result<()> {
    let human = || {
        let mut text = format!("stored {}", counted(sum.stored, "document", "documents"));
        if sum.skipped > 0 {
            text.extend([", ", &sum.skipped.to_string(), " were there already"]);
        }
        if sum.failed > 0 {
            text.extend([", ", &sum.failed.to_string(), " could not be stored"]);
        }
        let seconds = format!("{:.1}", took.as_secs_f64());
        text.extend([" in ", &seconds, " s"]);
        if !whole {
            text.push_str("; the file was not read to its end");
        }
        text
    };
    let json = || {
        json!({"type": "import", "stored": sum.stored, "skipped": sum.skipped, "failed": sum.failed,
               "bytes": sum.bytes, "whole": whole, "seconds": took.as_secs_f64()})
    };
    output.line(human, json)
}

pub(crate) async fn export(client: &Client, output: &Output, args: &args::Export) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    let options = ExportOptions {
        prefix: key_prefix(args.prefix.as_deref().unwrap_or_default())?,
        plain: args.plain,
        ..ExportOptions::default()
    };
    let Some(file) = &args.file else {
        let format = args.format.map_or(Format::JsonLines, Format::from);
        let stdout = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
        let mut writer = DocumentWriter::new(stdout, format);
        client.export(bucket, &mut writer, &options, &mut |_| {}).await?;
        writer.finish()?;
        return Ok(());
    };
    let format = format_of(args.format, file)?;
    let bar = bar(output, None);
    let part = Part::new(file);
    let failed = |error: io::Error| Error::Local(format!("cannot write {}: {error}", file.display()));
    let created = File::create_new(&part.0).map_err(failed)?;
    let mut writer = DocumentWriter::new(BufWriter::with_capacity(BUFFER_BYTES, created), format);
    let mut told = |sum: &Exported| {
        bar.set_position(sum.bytes);
        bar.set_message(format!("{} documents", sum.documents));
    };
    let sum = client.export(bucket, &mut writer, &options, &mut told).await?;
    let written = writer
        .finish()
        .and_then(|file| file.into_inner().map_err(Into::into));
    written.and_then(|file| file.sync_all()).map_err(failed)?;
    part.becomes(file).map_err(failed)?;
    bar.finish_and_clear();
    let human = || {
        let documents = counted(sum.documents, "document", "documents");
        format!("wrote {documents} to {}", file.display())
    };
    output.line(human, || export_json(&sum, file))?;
    Ok(())
}

fn export_json(sum: &Exported, file: &Path) -> Value {
    json!({"type": "export", "documents": sum.documents, "bytes": sum.bytes, "file": file.to_string_lossy()})
}

/// A file that is being written; removed unless it becomes whole.
struct Part(PathBuf);

impl Part {
    fn new(file: &Path) -> Self {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        Self(name.into())
    }

    fn becomes(self, file: &Path) -> io::Result<()> {
        std::fs::rename(&self.0, file)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It has its name by now, or nobody wants it.
        let _ = std::fs::remove_file(&self.0);
    }
}
