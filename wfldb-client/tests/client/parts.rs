//! A server that keeps the parts of uploads in memory, behind [`Fake`].
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers fail by panicking"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::json;
use wfldb_core::id::ContentHash;
use wfldb_net::multipart::parse_list;
use wfldb_net::route::{Parameters, parse};

use crate::fake::{Fake, Reply, Seen, answer, problem};
use crate::wire::VERSION;

/// The size of the parts that the tests ask for.
pub(crate) const PART_BYTES: u64 = 5 * 1024 * 1024;

/// What the server holds.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) uploads: HashMap<String, BTreeMap<u16, Bytes>>,
    pub(crate) completed: HashMap<String, (Bytes, ContentHash)>,
    pub(crate) started: u32,
    pub(crate) aborted: Vec<String>,
    /// Parts in the order in which they came.
    pub(crate) parts: Vec<u16>,
}

pub(crate) type Shared = Arc<Mutex<Store>>;

impl Store {
    pub(crate) fn answer(&mut self, seen: &Seen) -> Reply {
        let route = parse(&seen.method, &seen.target).unwrap();
        match (seen.method.as_str(), route.parameters().unwrap()) {
            ("POST", Parameters::UploadStart(part_bytes)) => {
                assert_eq!(part_bytes, PART_BYTES);
                self.started += 1;
                let id = format!("{:032x}", self.started);
                self.uploads.insert(id.clone(), BTreeMap::new());
                answer(200, &[], json!({"upload": id}).to_string())
            }
            ("PUT", Parameters::UploadPart(id, number)) => self.part(&id.to_string(), number, &seen.body),
            ("GET", Parameters::Upload(id)) => self.list(&id.to_string()),
            ("POST", Parameters::Upload(id)) => self.complete(&id.to_string(), &seen.body),
            ("DELETE", Parameters::Upload(id)) => {
                self.aborted.push(id.to_string());
                match self.uploads.remove(&id.to_string()) {
                    Some(_) => answer(204, &[], ""),
                    None => no_such_upload(),
                }
            }
            ("HEAD", Parameters::None) => problem(404, "NoSuchKey", None, &[]),
            other => panic!("{other:?}"),
        }
    }

    fn part(&mut self, id: &str, number: u16, body: &Bytes) -> Reply {
        self.parts.push(number);
        let Some(upload) = self.uploads.get_mut(id) else {
            return no_such_upload();
        };
        upload.insert(number, body.clone());
        answer(200, &[("etag", &format!("\"{}\"", ContentHash::of(body)))], "")
    }

    fn list(&self, id: &str) -> Reply {
        let Some(upload) = self.uploads.get(id) else {
            return no_such_upload();
        };
        let part = |(number, body): (&u16, &Bytes)| json!({"part": number, "etag": ContentHash::of(body).to_string(), "size": body.len()});
        let parts: Vec<_> = upload.iter().map(part).collect();
        let list = json!({"part_bytes": PART_BYTES, "expires": "2099-01-02T03:04:05.006Z", "parts": parts});
        answer(200, &[], list.to_string())
    }

    fn complete(&mut self, id: &str, body: &Bytes) -> Reply {
        let list = parse_list(body).unwrap();
        if let Some((before, etag)) = self.completed.get(id) {
            return if before == body {
                object(etag)
            } else {
                no_such_upload()
            };
        }
        let Some(upload) = self.uploads.remove(id) else {
            return no_such_upload();
        };
        let mut whole = Vec::new();
        for part in list {
            assert_eq!(part.etag, ContentHash::of(&upload[&part.part]));
            whole.extend_from_slice(&upload[&part.part]);
        }
        let etag = ContentHash::of(&whole);
        self.completed.insert(id.to_owned(), (body.clone(), etag));
        object(&etag)
    }
}

pub(crate) fn object(etag: &ContentHash) -> Reply {
    let etag = format!("\"{etag}\"");
    answer(
        201,
        &[
            ("etag", &etag),
            ("x-wfldb-version", VERSION),
            ("x-wfldb-seq", "7"),
        ],
        "",
    )
}

fn no_such_upload() -> Reply {
    problem(404, "NoSuchUpload", None, &[])
}

/// A server whose answer the test may replace, after the request was carried out or before.
pub(crate) async fn fake(
    store: &Shared,
    instead: impl Fn(&Seen, &mut Store) -> Option<Reply> + Send + Sync + 'static,
) -> Fake {
    let store = Arc::clone(store);
    Fake::start(move |_, seen| {
        let mut store = store.lock().unwrap();
        instead(seen, &mut store).unwrap_or_else(|| store.answer(seen))
    })
    .await
}
