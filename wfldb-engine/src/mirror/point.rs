//! Places in the work where a process may end. Tests end it there.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Point {
    /// A file is written and has not its name yet.
    Rename,
    /// Files have their names, and the manifests do not know of them.
    Manifests,
    /// The manifests are written, and nothing is on stable storage.
    Sync,
    /// Everything is on stable storage, and the cursor does not say so.
    Cursor,
    /// The cursor is written, `log/checkpoint` is of before.
    Checkpoint,
    /// `log/checkpoint` is written, and the tiles that it outgrew are still there.
    Outgrown,
    /// The cursor is written, `wfldb.json` is of before.
    Root,
}

/// What happens at them: nothing, but in tests.
#[derive(Clone, Default)]
pub(crate) struct Points {
    #[cfg(test)]
    pub(crate) at: Option<std::sync::Arc<dyn Fn(Point) -> std::io::Result<()> + Send + Sync>>,
}

impl std::fmt::Debug for Points {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Points").finish_non_exhaustive()
    }
}

impl Points {
    #[cfg(test)]
    pub(crate) fn pass(&self, point: Point) -> std::io::Result<()> {
        self.at.as_ref().map_or(Ok(()), |at| at(point))
    }

    /// Whether what is written goes to the disk. Tests end no machine, and others' writes would hold them up.
    #[cfg(test)]
    pub(crate) fn syncs(&self) -> bool {
        self.at.is_none()
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the tests' has something to ask")]
    pub(crate) fn syncs(&self) -> bool {
        true
    }

    #[cfg(not(test))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the tests' has something to do"
    )]
    pub(crate) fn pass(&self, _: Point) -> std::io::Result<()> {
        Ok(())
    }
}
