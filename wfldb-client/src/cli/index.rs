//! `wfldb index`: the indexes of a bucket of documents.

use serde_json::{Map, Value, json};
use wfldb_client::{Client, IndexForm, IndexState};
use wfldb_core::index::{IndexDefinition, IndexName};

use super::args::{IndexArgs, IndexCreate, IndexVerb};
use super::bucket::only_bucket;
use super::exit::Failure;
use super::output::{Output, shown};

pub(crate) async fn index(client: &Client, output: &Output, args: &IndexArgs) -> Result<(), Failure> {
    let bucket = &only_bucket(&args.bucket)?.bucket;
    let usage = |error: wfldb_core::index::DefinitionError| Failure::Usage(error.to_string());
    match &args.verb {
        IndexVerb::Ls => {
            for form in client.indexes(bucket).await? {
                output.line(
                    || words(&form),
                    || serde_json::to_value(&form).unwrap_or_default(),
                )?;
            }
        }
        IndexVerb::Create(create) => {
            let definition = IndexDefinition::parse(&body(create)?).map_err(usage)?;
            let made = client.create_index(bucket, &definition, create.wait).await?;
            let human = || {
                let why = made.reason.as_deref().map(|why| format!(": {}", shown(why)));
                let state = state(made.state);
                format!(
                    "{} index {} ({state}{})",
                    made.result,
                    made.name,
                    why.unwrap_or_default()
                )
            };
            output.line(human, || serde_json::to_value(&made).unwrap_or_default())?;
        }
        IndexVerb::Drop { name } => {
            let name = IndexName::parse(name).map_err(usage)?;
            client.drop_index(bucket, &name).await?;
            let json = || json!({"bucket": bucket.as_str(), "index": name.as_str(), "dropped": true});
            output.line(|| format!("dropped index {name}"), json)?;
        }
    }
    Ok(())
}

/// The definition as a request has it.
fn body(args: &IndexCreate) -> Result<Value, Failure> {
    let field = |text: &String| match text.strip_suffix(":desc") {
        Some(name) => json!({ name: "desc" }),
        None => Value::from(text.strip_suffix(":asc").unwrap_or(text)),
    };
    let mut index = Map::new();
    index.insert("fields".to_owned(), args.fields.iter().map(field).collect());
    if let Some(selector) = &args.partial {
        let selector =
            serde_json::from_str(selector).map_err(|_| Failure::Usage("--partial is not JSON".to_owned()))?;
        index.insert("partial_filter_selector".to_owned(), selector);
    }
    let mut body = json!({
        "index": index,
        "type": if args.hash { "hash" } else { "json" },
        "unique": args.unique,
        "sparse": args.sparse,
    });
    if let (Some(name), Some(body)) = (&args.name, body.as_object_mut()) {
        body.insert("name".to_owned(), name.as_str().into());
    }
    Ok(body)
}

fn state(state: IndexState) -> &'static str {
    match state {
        IndexState::Building => "building",
        IndexState::Ready => "ready",
        IndexState::Failed => "failed",
    }
}

fn words(form: &IndexForm) -> String {
    let mut notes = vec![form.kind.clone()];
    for (note, is_so) in [
        ("unique", form.unique),
        ("sparse", form.sparse),
        ("automatic", form.automatic),
    ] {
        if is_so {
            notes.push(note.to_owned());
        }
    }
    let progress = match (form.documents, form.of) {
        (Some(documents), Some(of)) => format!(" {documents} of {of}"),
        _ => String::new(),
    };
    let reason = form.reason.as_deref().map(|why| format!(": {}", shown(why)));
    format!(
        "{}\t{}{progress}{}\t{}\t{}",
        form.name,
        state(form.state),
        reason.unwrap_or_default(),
        notes.join(","),
        shown(&form.def.to_string()),
    )
}
