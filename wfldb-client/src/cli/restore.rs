//! Bringing back what was deleted or overwritten.

use std::path::Path;

use serde_json::{Value, json};
use wfldb_client::{Client, CopyOptions, CopySource, GetOptions, Profile, PutOptions, Stored};
use wfldb_core::doc::{self, Object};
use wfldb_core::id::{ContentHash, KeyId, PublicKey, VersionId};
use wfldb_core::mirror::headers_of;
use wfldb_core::name::Realm;
use wfldb_core::object::Preconditions;

use super::args::{Moment, Restore};
use super::commit::{Commit, Was, text_of};
use super::exit::Failure;
use super::output::{Output, shown};
use super::show::stored_json;

/// Whose store it is that the profile is for.
pub(crate) struct Whose {
    realm: Realm,
    node: Option<PublicKey>,
}

impl Whose {
    pub(crate) fn of(profile: &Profile) -> Self {
        Self {
            realm: profile.realm.clone(),
            node: profile.node.as_ref().map(KeyId::public_key).cloned(),
        }
    }
}

pub(crate) async fn restore(
    client: &Client,
    output: &Output,
    args: &Restore,
    whose: &Whose,
) -> Result<(), Failure> {
    let version = match (&args.at, &args.mirror) {
        (Some(Moment::Commit(commit)), Some(mirror)) => {
            return Restoring { client, output, args }
                .commit(mirror, commit, whose)
                .await;
        }
        (Some(Moment::Commit(_)), None) => {
            return Err(Failure::Usage(
                "a commit is one of a mirror: --mirror DIR".to_owned(),
            ));
        }
        (Some(Moment::Time(_)), Some(_)) => {
            return Err(Failure::Usage("with --mirror, --at is a commit".to_owned()));
        }
        (Some(Moment::Time(time)), None) => {
            let then = GetOptions::at(*time);
            let key = args.target.key()?;
            Some(client.head(&args.target.bucket, &key, then).await?.version)
        }
        (None, _) => args.version,
    };
    Restoring { client, output, args }.version(version).await
}

/// Bringing back one key.
struct Restoring<'a> {
    client: &'a Client,
    output: &'a Output,
    args: &'a Restore,
}

impl Restoring<'_> {
    async fn version(&self, version: Option<VersionId>) -> Result<(), Failure> {
        let Self { client, output, args } = *self;
        let (bucket, key) = (&args.target.bucket, args.target.key()?);
        let Some(version) = version else {
            let stored = client.undelete(bucket, &key).await?;
            let human = || {
                format!(
                    "restored {} as version {}",
                    shown(&args.target.to_string()),
                    stored.version
                )
            };
            output.line(human, || stored_json(&args.target, &stored))?;
            return Ok(());
        };
        let current = self.current().await?;
        if current == Some(version) {
            return self.is_newest(&format!("version {version}"), &version.to_string());
        }
        let source = CopySource {
            bucket: bucket.clone(),
            key: key.clone(),
            version: Some(version),
        };
        let options = CopyOptions {
            preconditions: on_top_of(current),
            ..CopyOptions::default()
        };
        let stored = client.copy(&source, bucket, &key, options).await?;
        self.is_restored(&version.to_string(), &stored)
    }

    /// Makes what a commit has the newest version.
    async fn commit(&self, mirror: &Path, name: &str, whose: &Whose) -> Result<(), Failure> {
        let Self { client, args, .. } = *self;
        let (bucket, key) = (&args.target.bucket, args.target.key()?);
        let trusted: Vec<PublicKey> = args.trust.iter().chain(&whose.node).cloned().collect();
        let commit = Commit::find(mirror, name, &whose.realm, &trusted)?;
        let from = format!("commit {}", commit.id);
        let was_not = |what: &str| {
            let target = args.target.to_string();
            Failure::Usage(format!("{} {what} at {from}", shown(&target)))
        };
        let stored = match commit.was(bucket, &key)? {
            Was::Absent => return Err(was_not("was not there")),
            Was::Deleted => return Err(was_not("was deleted")),
            Was::Document(document) => {
                let untrue =
                    |why: &dyn std::fmt::Display| was_not(&format!("is no document that was signed ({why})"));
                let (members, signature) = doc::split_signature(document).map_err(|why| untrue(&why))?;
                let trusts = |key: &PublicKey| *key.as_bytes() == signature.key;
                if !trusted.iter().any(trusts) {
                    return Err(untrue(&"by nobody who is trusted"));
                }
                let envelope = doc::verify(bucket, &key, &members, &signature).map_err(|why| untrue(&why))?;
                let current = match client.document(bucket, &key, GetOptions::default()).await {
                    Ok(document) => Some(document),
                    Err(error) if error.is_not_found() => None,
                    Err(error) => return Err(error.into()),
                };
                if let Some(current) = &current
                    && text_of(&current.members, "_hash") == envelope.hash.to_string()
                {
                    return self.is_newest(&format!("what {from} has"), &current.info.version.to_string());
                }
                let options = PutOptions {
                    preconditions: on_top_of(current.map(|current| current.info.version)),
                    ..PutOptions::default()
                };
                let json = Value::Object(doc::without_envelope(members)).to_string();
                client.put_document(bucket, &key, json, options).await?
            }
            Was::Object(said, bytes) => match self.object(&said, bytes, &from).await? {
                Some(stored) => stored,
                None => return Ok(()),
            },
        };
        self.is_restored(&from, &stored)
    }

    /// The same of an object; `None`: it was said already what became of it.
    async fn object(
        &self,
        said: &Object,
        bytes: Option<Vec<u8>>,
        from: &str,
    ) -> Result<Option<Stored>, Failure> {
        let Self { client, args, .. } = *self;
        let (bucket, key) = (&args.target.bucket, args.target.key()?);
        let wrong = |why: &dyn std::fmt::Display| {
            let target = args.target.to_string();
            Failure::Usage(format!("{} at {from}: {why}", shown(&target)))
        };
        let version = VersionId::parse(text_of(said, "version")).map_err(|why| wrong(&why))?;
        let etag = ContentHash::parse(text_of(said, "blake3")).map_err(|why| wrong(&why))?;
        // The store may have it still: then no bytes move, and it may be of any size.
        let kept = match client.head(bucket, &key, GetOptions::version(version)).await {
            Ok(info) => info.etag == etag,
            Err(error) if error.is_not_found() => false,
            Err(error) => return Err(error.into()),
        };
        if kept {
            self.version(Some(version)).await?;
            return Ok(None);
        }
        let bytes = bytes.ok_or_else(|| wrong(&"neither the store nor the history has its bytes"))?;
        if ContentHash::of(&bytes) != etag {
            return Err(wrong(&"its bytes are not those that are said to be in it"));
        }
        let options = PutOptions {
            headers: headers_of(said).map_err(|why| wrong(&why))?,
            preconditions: on_top_of(self.current().await?),
            ..PutOptions::default()
        };
        Ok(Some(client.put(bucket, &key, bytes, options).await?))
    }

    /// The newest version, if it is live.
    async fn current(&self) -> Result<Option<VersionId>, Failure> {
        let (bucket, key) = (&self.args.target.bucket, self.args.target.key()?);
        match self.client.head(bucket, &key, GetOptions::default()).await {
            Ok(info) => Ok(Some(info.version)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn is_newest(&self, what: &str, version: &str) -> Result<(), Failure> {
        let human = || format!("{what} is the newest already");
        let key = &self.args.target.rest;
        let json = || json!({"key": key, "version": version, "restored": false});
        Ok(self.output.line(human, json)?)
    }

    fn is_restored(&self, from: &str, stored: &Stored) -> Result<(), Failure> {
        let target = &self.args.target;
        let human = || {
            let name = target.to_string();
            format!(
                "restored {} from {from} as version {}",
                shown(&name),
                stored.version
            )
        };
        Ok(self.output.line(human, || stored_json(target, stored))?)
    }
}

/// Nobody's newer version is buried: the write happens only on top of what we saw.
fn on_top_of(current: Option<VersionId>) -> Preconditions {
    Preconditions {
        if_version: current,
        if_none_match_any: current.is_none(),
        ..Preconditions::default()
    }
}
