//! Buckets that changed on their side: what they are is settled first, then what is in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use wfldb_core::auth::Op;
use wfldb_core::id::PublicKey;
use wfldb_core::index::IndexDefinition;
use wfldb_core::mirror::Choice;
use wfldb_core::name::BucketName;
use wfldb_core::object::BucketKind;

use super::theirs::{Changed, Theirs};
use super::{Sync, SyncError, of_bucket};
use crate::bucket::resolve;
use crate::error::EngineError;
use crate::mirror::source::MirroredBucket;
use crate::mirror::state::{METADATA, MirrorContent, MirrorPlace, State};
use crate::row::BucketRow;

/// Whose value is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    Theirs,
    Undecided,
}

/// What both sides made of one value.
fn whose<T: PartialEq>(base: Option<&T>, ours: &T, theirs: &T, choice: Option<Choice>) -> Whose {
    if ours == theirs || base == Some(theirs) {
        return Whose::Ours;
    }
    if base == Some(ours) {
        return Whose::Theirs;
    }
    match choice {
        Some(Choice::Ours) => Whose::Ours,
        Some(Choice::Theirs) => Whose::Theirs,
        Some(Choice::By(_)) | None => Whose::Undecided,
    }
}

impl Sync<'_> {
    /// Settles a bucket and what is in it.
    pub(super) fn bucket(
        &mut self,
        theirs: &Theirs,
        (dir, changed): (&str, &Changed),
        trusted: &Arc<[PublicKey]>,
    ) -> Result<(), SyncError> {
        let [base, new] = match self.said(theirs, dir)? {
            Ok(said) => said,
            Err(why) => {
                self.report.refused.push((format!("{dir}/{METADATA}"), why));
                return Ok(());
            }
        };
        let Some(name) = new.as_ref().or(base.as_ref()).map(|said| said.name.clone()) else {
            // The keys, the log, or something of somebody else.
            return Ok(());
        };
        let choice = self.options.choice_of(&name);
        let ours = self.row(&name)?;
        match (&ours, &new) {
            (Some(ours), None) => return self.deleted_there(ours, choice),
            (Some(ours), Some(_)) if !ours.config.is_mirrored() => {
                self.undecided(&name, "it is here, and not mirrored");
                return Ok(());
            }
            (None, None) => return Ok(()),
            (None, Some(_)) if base.is_some() && choice == Some(Choice::Ours) => return Ok(()),
            (None, Some(_)) if base.is_some() && choice.is_none() => {
                self.undecided(&name, "it was deleted here, and changed there");
                return Ok(());
            }
            _ => {}
        }
        let Some(new) = new else { return Ok(()) };
        // What was deleted here and is wanted back comes back whole.
        let again = ours.is_none() && base.is_some();
        let whole = again.then(|| theirs.all_of(&self.remote, dir)).transpose()?;
        let (base, changed) = (base.filter(|_| !again), whole.as_ref().unwrap_or(changed));
        if !self.configure(base.as_ref(), ours.as_ref(), &new, choice)? {
            return Ok(());
        }
        // Not there when nothing is to be written.
        if let Some(row) = self.row(&name)? {
            match row.config.kind {
                BucketKind::Documents => self.documents(theirs, (dir, &row), changed, trusted)?,
                BucketKind::Objects => self.objects(theirs, (dir, &row), changed)?,
            }
        }
        // Behind the documents: an index is built at once then, and a schema holds for what comes.
        self.indexes(base.as_ref(), ours.as_ref(), &new, choice)?;
        self.schema(base.as_ref(), ours.as_ref(), &new, choice)
    }

    /// What both trees say of a bucket.
    fn said(
        &self,
        theirs: &Theirs,
        dir: &str,
    ) -> Result<Result<[Option<MirroredBucket>; 2], String>, SyncError> {
        let mut said = [None, None];
        for (said, named) in said.iter_mut().zip(theirs.named(&format!("{dir}/{METADATA}"))) {
            self.remote.objects(named.into_iter(), |_, bytes| {
                *said = bytes.map(|bytes| MirroredBucket::parse(dir, &bytes));
                Ok(())
            })?;
        }
        let [base, new] = said;
        // What both had was taken over once, so it can be read.
        let base = base.and_then(Result::ok);
        Ok(match new.transpose() {
            Ok(new) => Ok([base, new]),
            Err(error) => Err(error.to_string()),
        })
    }

    fn row(&self, name: &BucketName) -> Result<Option<BucketRow>, EngineError> {
        match resolve(&*self.inner.storage.snapshot(), name) {
            Ok(row) => Ok(Some(row)),
            Err(EngineError::NoSuchBucket) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn undecided(&mut self, bucket: &BucketName, why: &str) {
        self.report.undecided.push((bucket.to_string(), why.to_owned()));
    }

    fn deleted_there(&mut self, ours: &BucketRow, choice: Option<Choice>) -> Result<(), SyncError> {
        match choice {
            Some(Choice::Ours) => {}
            Some(Choice::Theirs) => {
                if !self.options.dry_run {
                    let erase = of_bucket(&ours.name, Op::Erase);
                    self.engine().delete_bucket(&erase, true).wait()?;
                }
                self.report.buckets += 1;
            }
            Some(Choice::By(_)) | None => {
                self.undecided(
                    &ours.name,
                    "it was deleted there, or is not mirrored there any more",
                );
            }
        }
        Ok(())
    }

    /// Makes the bucket, or takes over its settings. Whether what is in it can be settled.
    fn configure(
        &mut self,
        base: Option<&MirroredBucket>,
        ours: Option<&BucketRow>,
        new: &MirroredBucket,
        choice: Option<Choice>,
    ) -> Result<bool, SyncError> {
        let whose = match ours {
            None => Whose::Theirs,
            Some(ours) if ours.config.kind != new.config.kind => {
                self.undecided(&new.name, "it is of another kind there");
                return Ok(false);
            }
            Some(ours) => whose(base.map(|base| &base.config), &ours.config, &new.config, choice),
        };
        match whose {
            Whose::Ours => {}
            Whose::Undecided => self.undecided(&new.name, "both sides changed its settings"),
            Whose::Theirs => {
                if !self.options.dry_run {
                    let manage = of_bucket(&new.name, Op::Manage);
                    self.engine().put_bucket(&manage, new.config.clone()).wait()?;
                }
                self.report.buckets += 1;
            }
        }
        Ok(true)
    }

    fn indexes(
        &mut self,
        base: Option<&MirroredBucket>,
        ours: Option<&BucketRow>,
        new: &MirroredBucket,
        choice: Option<Choice>,
    ) -> Result<(), SyncError> {
        let by_name = |indexes: &[IndexDefinition]| -> BTreeMap<String, IndexDefinition> {
            let named = |index: &IndexDefinition| (index.name.to_string(), index.clone());
            indexes.iter().map(named).collect()
        };
        let base = base.map(|base| by_name(&base.indexes)).unwrap_or_default();
        let ours = ours
            .map(Self::said_of)
            .transpose()?
            .map(|ours| by_name(&ours.indexes));
        let (ours, theirs) = (ours.unwrap_or_default(), by_name(&new.indexes));
        let manage = of_bucket(&new.name, Op::Manage);
        let names: Vec<&String> = ours
            .keys()
            .chain(theirs.keys().filter(|name| !ours.contains_key(*name)))
            .collect();
        for name in names {
            let (here, there) = (ours.get(name), theirs.get(name));
            match whose(Some(&base.get(name)), &here, &there, choice) {
                Whose::Ours => {}
                Whose::Undecided => {
                    self.undecided(&new.name, &format!("both sides changed its index {name}"));
                }
                Whose::Theirs if self.options.dry_run => {}
                Whose::Theirs => {
                    if let Some(here) = here {
                        self.engine().drop_index(&manage, &here.name).wait()?;
                    }
                    if let Some(there) = there {
                        self.engine().define_index(&manage, there.clone()).wait()?;
                    }
                    self.report.buckets += 1;
                }
            }
        }
        Ok(())
    }

    fn schema(
        &mut self,
        base: Option<&MirroredBucket>,
        ours: Option<&BucketRow>,
        new: &MirroredBucket,
        choice: Option<Choice>,
    ) -> Result<(), SyncError> {
        let ours = ours.map(Self::said_of).transpose()?;
        let ours = ours.and_then(|ours| ours.schema);
        match whose(
            Some(&base.and_then(|base| base.schema.as_ref())),
            &ours.as_ref(),
            &new.schema.as_ref(),
            choice,
        ) {
            Whose::Ours => {}
            Whose::Undecided => self.undecided(&new.name, "both sides changed its schema"),
            Whose::Theirs => {
                if !self.options.dry_run {
                    let manage = of_bucket(&new.name, Op::Manage);
                    let schema = new.schema.as_ref().map(ToString::to_string);
                    let schema = schema.as_deref().map(str::as_bytes);
                    self.engine().put_schema(&manage, schema).wait()?;
                }
                self.report.buckets += 1;
            }
        }
        Ok(())
    }

    /// The bucket of ours as its file would say it.
    fn said_of(row: &BucketRow) -> Result<MirroredBucket, EngineError> {
        let place = MirrorPlace::new(&row.name, row.config.kind, false);
        let file = State::metadata(row, &place)?;
        let MirrorContent::Whole(bytes) = file.content else {
            return Err(EngineError::Corrupt("bucket"));
        };
        MirroredBucket::parse(place.dir(), &bytes).map_err(|_| EngineError::Corrupt("bucket"))
    }
}
