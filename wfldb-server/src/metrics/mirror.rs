//! How far the mirror is.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use wfldb_engine::{MirrorState, MirrorStatus};

/// Its figures; none where there is no mirror.
pub(super) fn register(registry: &mut Registry, status: Option<MirrorStatus>) {
    let Some(status) = status else { return };
    let lag = Gauge::<f64, AtomicU64>::default();
    lag.set(status.lag.as_secs_f64());
    registry.register_with_unit(
        "mirror_lag",
        "How long ago the first change was committed that the mirror does not have yet",
        Unit::Seconds,
        lag,
    );
    let following = matches!(status.state, MirrorState::Following | MirrorState::Making);
    for (name, help, value) in [
        (
            "mirror_changes_behind",
            "Changes that the mirror does not have yet",
            status.behind,
        ),
        (
            "mirror_following",
            "1 while the mirror is written, 0 while it waits for room or failed",
            u64::from(following),
        ),
    ] {
        registry.register(name, help, super::gauge(value));
    }
    for (name, help, value) in [
        (
            "mirror_files_written",
            "Files of keys and buckets that the mirror wrote",
            status.files,
        ),
        (
            "mirror_failures",
            "Rounds of the mirror that failed and were tried again",
            status.failures,
        ),
        (
            "mirror_left_out",
            "Objects that cannot be read, so that the mirror left their files as they were",
            status.left_out,
        ),
    ] {
        registry.register(name, help, super::counter(value));
    }
}
